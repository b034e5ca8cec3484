/*
 * struct outcome gb__receive_blocking(_Atomic int *state, int fd, void *data, size_t size): see receive.h.
 *
 * System V ABI, AMD64 supplement: arguments in rdi, esi, rdx, rcx; both words of the result in rax and rdx. The
 * system call takes rdi, rsi, rdx, r10, r8, r9 and loses rcx and r11. The states are those of receive.h.
 */
#if defined(__x86_64__) && !defined(__ILP32__)
#define AWAKE 0
#define RECEIVES 1
#define SYS_RECVFROM 45
#define EINTR 4

	.text
	.globl gb__receive_blocking, gb__receive_look, gb__receive_done, gb__receive_out, gb__receive_end
	.hidden gb__receive_blocking, gb__receive_look, gb__receive_done, gb__receive_out, gb__receive_end
	.type gb__receive_blocking, @function
	.p2align 4
gb__receive_blocking:
	.cfi_startproc
	endbr64
	pushq %rbx
	.cfi_adjust_cfa_offset 8
	.cfi_rel_offset %rbx, 0
	movq %rdi, %rbx
	movl %esi, %edi
	movq %rdx, %rsi
	movq %rcx, %rdx
	xorl %r10d, %r10d
	xorl %r8d, %r8d
	xorl %r9d, %r9d
	movl $AWAKE, %eax
	movl $RECEIVES, %ecx
	lock cmpxchgl %ecx, (%rbx)
	jne 1f
	movl $SYS_RECVFROM, %eax
gb__receive_look:
	cmpl $RECEIVES, (%rbx)
	jne gb__receive_out
	syscall
gb__receive_done:
	movl $AWAKE, %edx
	xchgl %edx, (%rbx)
	popq %rbx
	.cfi_remember_state
	.cfi_adjust_cfa_offset -8
	.cfi_restore %rbx
	ret
	.cfi_restore_state
gb__receive_out:
	movq $-EINTR, %rax
	jmp gb__receive_done
1:	/* it was called before it began; eax is the state */
	movl %eax, %edx
	popq %rbx
	.cfi_adjust_cfa_offset -8
	.cfi_restore %rbx
	ret
gb__receive_end:
	.cfi_endproc
	.size gb__receive_blocking, . - gb__receive_blocking

/* Indirect branches find endbr64, and every return has its call: IBT, SHSTK. */
	.section .note.gnu.property, "a"
	.p2align 3
	.long 4, 16, 5
	.asciz "GNU"
	.long 0xc0000002, 4, 3, 0
#endif
	.section .note.GNU-stack, "", %progbits
