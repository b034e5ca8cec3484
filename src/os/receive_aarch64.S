/*
 * struct outcome gb__receive_blocking(_Atomic int *state, int fd, void *data, size_t size): see receive.h.
 *
 * AAPCS64: arguments in x0 to x3, both words of the result in x0 and x1; x9 to x15 are scratch, and the system call
 * keeps all but x0. The states are those of receive.h.
 */
#if defined(__aarch64__)
#define AWAKE 0
#define RECEIVES 1
#define SYS_RECVFROM 207
#define EINTR 4

	.text
	.globl gb__receive_blocking, gb__receive_look, gb__receive_done, gb__receive_out, gb__receive_end
	.hidden gb__receive_blocking, gb__receive_look, gb__receive_done, gb__receive_out, gb__receive_end
	.type gb__receive_blocking, %function
	.p2align 4
gb__receive_blocking:
	.cfi_startproc
	hint #34 /* bti c */
	mov x9, x0
	mov w0, w1
	mov x1, x2
	mov x2, x3
	mov x3, xzr
	mov x4, xzr
	mov x5, xzr
	mov w8, #SYS_RECVFROM
	mov w10, #RECEIVES
1:	ldaxr w11, [x9]
	cbnz w11, 3f /* not AWAKE: it was called before it began */
	stlxr w12, w10, [x9]
	cbnz w12, 1b
	dmb ish
gb__receive_look:
	ldar w11, [x9]
	cmp w11, #RECEIVES
	b.ne gb__receive_out
	svc #0
gb__receive_done:
	mov w10, #AWAKE
2:	ldaxr w11, [x9]
	stlxr w12, w10, [x9]
	cbnz w12, 2b
	dmb ish
	mov w1, w11
	ret
gb__receive_out:
	mov x0, #-EINTR
	b gb__receive_done
3:	clrex
	mov w1, w11
	ret
gb__receive_end:
	.cfi_endproc
	.size gb__receive_blocking, . - gb__receive_blocking

/* BTI: indirect branches find landing pads. PAC, GCS: the return address stays in its register. */
	.section .note.gnu.property, "a"
	.p2align 3
	.long 4, 16, 5
	.asciz "GNU"
	.long 0xc0000000, 4, 7, 0
#endif
	.section .note.GNU-stack, "", %progbits
