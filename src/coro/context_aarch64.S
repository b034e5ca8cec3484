/*
 * void gb__context_native_switch(struct gb__context *from, const struct gb__context *to)
 * void gb__context_native_prepare(struct gb__context *, void *low, size_t size, void (*entry)(void *), void *argument)
 * bool gb__context_shadowed(void): see context.h.
 *
 * AAPCS64: arguments in x0 to x4; a call keeps x19 to x29, the low halves of v8 to v15, and the control register of
 * the floating point unit, which is read at each switch and written when it differs.
 *
 * What lies on the stack of one that does not run, from stack_pointer up: fpcr and nothing, d8 to d15, x19 to x28,
 * x29 and x30, where it goes on, signed with the stack pointer that it will have there.
 */
#if defined(__aarch64__)
#define SAVED 176

	.text
	.globl gb__context_native_switch, gb__context_native_prepare, gb__context_shadowed
	.hidden gb__context_native_switch, gb__context_native_prepare, gb__context_shadowed
	.type gb__context_native_switch, %function
	.p2align 6
gb__context_native_switch:
	.cfi_startproc
	hint #25 /* paciasp, a landing pad too */
	.cfi_negate_ra_state
	sub sp, sp, #SAVED
	.cfi_adjust_cfa_offset SAVED
	mrs x2, fpcr
	str x2, [sp]
	stp d8, d9, [sp, #16]
	.cfi_rel_offset d8, 16
	.cfi_rel_offset d9, 24
	stp d10, d11, [sp, #32]
	.cfi_rel_offset d10, 32
	.cfi_rel_offset d11, 40
	stp d12, d13, [sp, #48]
	.cfi_rel_offset d12, 48
	.cfi_rel_offset d13, 56
	stp d14, d15, [sp, #64]
	.cfi_rel_offset d14, 64
	.cfi_rel_offset d15, 72
	stp x19, x20, [sp, #80]
	.cfi_rel_offset x19, 80
	.cfi_rel_offset x20, 88
	stp x21, x22, [sp, #96]
	.cfi_rel_offset x21, 96
	.cfi_rel_offset x22, 104
	stp x23, x24, [sp, #112]
	.cfi_rel_offset x23, 112
	.cfi_rel_offset x24, 120
	stp x25, x26, [sp, #128]
	.cfi_rel_offset x25, 128
	.cfi_rel_offset x26, 136
	stp x27, x28, [sp, #144]
	.cfi_rel_offset x27, 144
	.cfi_rel_offset x28, 152
	stp x29, x30, [sp, #160]
	.cfi_rel_offset x29, 160
	.cfi_rel_offset x30, 168
	mov x3, sp
	str x3, [x0]
	/* From here on the frame is the other one's, of the same layout. */
	ldr x3, [x1]
	mov sp, x3
	ldr x3, [sp]
	cmp x2, x3
	b.ne 2f
1:	ldp d8, d9, [sp, #16]
	ldp d10, d11, [sp, #32]
	ldp d12, d13, [sp, #48]
	ldp d14, d15, [sp, #64]
	ldp x19, x20, [sp, #80]
	ldp x21, x22, [sp, #96]
	ldp x23, x24, [sp, #112]
	ldp x25, x26, [sp, #128]
	ldp x27, x28, [sp, #144]
	ldp x29, x30, [sp, #160]
	.cfi_remember_state
	.cfi_restore d8
	.cfi_restore d9
	.cfi_restore d10
	.cfi_restore d11
	.cfi_restore d12
	.cfi_restore d13
	.cfi_restore d14
	.cfi_restore d15
	.cfi_restore x19
	.cfi_restore x20
	.cfi_restore x21
	.cfi_restore x22
	.cfi_restore x23
	.cfi_restore x24
	.cfi_restore x25
	.cfi_restore x26
	.cfi_restore x27
	.cfi_restore x28
	.cfi_restore x29
	.cfi_restore x30
	add sp, sp, #SAVED
	.cfi_adjust_cfa_offset -SAVED
	hint #29 /* autiasp */
	.cfi_negate_ra_state
	ret
	.cfi_restore_state
2:	msr fpcr, x3
	b 1b
	.cfi_endproc
	.size gb__context_native_switch, . - gb__context_native_switch

/* Where a context begins: x19 is the argument, x20 the entry. No address to return to: here backtraces end. The
 * instruction before it is for who looks for the caller of this address, just before it. */
	.type gb__context_begin, %function
	.p2align 4
	.cfi_startproc
	.cfi_undefined x30
	nop
gb__context_begin:
	hint #36 /* bti j */
	mov x0, x19
	mov x29, xzr
	mov x30, xzr
	blr x20
	brk #1
	.cfi_endproc
	.size gb__context_begin, . - gb__context_begin

	.type gb__context_native_prepare, %function
	.p2align 4
gb__context_native_prepare:
	.cfi_startproc
	hint #34 /* bti c */
	add x5, x1, x2
	and x5, x5, #-16
	sub x5, x5, #SAVED
	mrs x6, fpcr
	stp x6, xzr, [x5]
	stp xzr, xzr, [x5, #16]
	stp xzr, xzr, [x5, #32]
	stp xzr, xzr, [x5, #48]
	stp xzr, xzr, [x5, #64]
	stp x4, x3, [x5, #80]
	stp xzr, xzr, [x5, #96]
	stp xzr, xzr, [x5, #112]
	stp xzr, xzr, [x5, #128]
	stp xzr, xzr, [x5, #144]
	adr x17, gb__context_begin
	add x16, x5, #SAVED
	hint #8 /* pacia1716: as the switch will have it */
	stp xzr, x17, [x5, #160]
	str x5, [x0]
	ret
	.cfi_endproc
	.size gb__context_native_prepare, . - gb__context_native_prepare

/* chkfeat x16, which does nothing where it does not exist, clears the bit of what there is: 0, the guarded control
 * stack. */
	.type gb__context_shadowed, %function
	.p2align 4
gb__context_shadowed:
	.cfi_startproc
	hint #34 /* bti c */
	mov x16, #1
	hint #40 /* chkfeat x16 */
	eor w0, w16, #1
	ret
	.cfi_endproc
	.size gb__context_shadowed, . - gb__context_shadowed

/* BTI: indirect branches find landing pads. PAC: return addresses in memory are signed. GCS: where there is one nothing
 * here is switched with. */
	.section .note.gnu.property, "a"
	.p2align 3
	.long 4, 16, 5
	.asciz "GNU"
	.long 0xc0000000, 4, 7, 0
#endif
	.section .note.GNU-stack, "", %progbits
