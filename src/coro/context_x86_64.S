/*
 * void gb__context_native_switch(struct gb__context *from, const struct gb__context *to)
 * void gb__context_native_prepare(struct gb__context *, void *low, size_t size, void (*entry)(void *), void *argument)
 * bool gb__context_shadowed(void): see context.h.
 *
 * System V ABI, AMD64 supplement: arguments in rdi, rsi, rdx, rcx, r8; a call keeps rbx, rbp, r12 to r15, the control
 * bits of mxcsr and the x87 control word. Those two are read at each switch, and loaded when they differ, which is
 * hardly ever: a load of either costs more than all the rest.
 *
 * What lies on the stack of one that does not run, from stack_pointer up: mxcsr and control word, r15, r14, r13, r12,
 * rbx, rbp, the address to go on at. It goes on by a jump, not by a return, which the processor would predict to be
 * to where the last call came from.
 */
#if defined(__x86_64__) && !defined(__ILP32__)
#define SAVED 64
#define MXCSR_CONTROL 0xffc0 /* the others tell what has happened, and belong to nobody */

	.text
	.globl gb__context_native_switch, gb__context_native_prepare, gb__context_shadowed
	.hidden gb__context_native_switch, gb__context_native_prepare, gb__context_shadowed
	.type gb__context_native_switch, @function
	.p2align 6
gb__context_native_switch:
	.cfi_startproc
	endbr64
	pushq %rbp
	.cfi_adjust_cfa_offset 8
	.cfi_rel_offset %rbp, 0
	pushq %rbx
	.cfi_adjust_cfa_offset 8
	.cfi_rel_offset %rbx, 0
	pushq %r12
	.cfi_adjust_cfa_offset 8
	.cfi_rel_offset %r12, 0
	pushq %r13
	.cfi_adjust_cfa_offset 8
	.cfi_rel_offset %r13, 0
	pushq %r14
	.cfi_adjust_cfa_offset 8
	.cfi_rel_offset %r14, 0
	pushq %r15
	.cfi_adjust_cfa_offset 8
	.cfi_rel_offset %r15, 0
	subq $8, %rsp
	.cfi_adjust_cfa_offset 8
	stmxcsr (%rsp)
	fnstcw 4(%rsp)
	movl (%rsp), %eax
	movzwl 4(%rsp), %ecx
	/* From here on the frame is the other one's, of the same layout. */
	movq %rsp, (%rdi)
	movq (%rsi), %rsp
	xorl (%rsp), %eax
	testl $MXCSR_CONTROL, %eax
	jne 2f
1:	cmpw %cx, 4(%rsp)
	jne 3f
4:	addq $8, %rsp
	.cfi_adjust_cfa_offset -8
	popq %r15
	.cfi_adjust_cfa_offset -8
	.cfi_restore %r15
	popq %r14
	.cfi_adjust_cfa_offset -8
	.cfi_restore %r14
	popq %r13
	.cfi_adjust_cfa_offset -8
	.cfi_restore %r13
	popq %r12
	.cfi_adjust_cfa_offset -8
	.cfi_restore %r12
	popq %rbx
	.cfi_adjust_cfa_offset -8
	.cfi_restore %rbx
	popq %rbp
	.cfi_adjust_cfa_offset -8
	.cfi_restore %rbp
	popq %rcx
	.cfi_adjust_cfa_offset -8
	.cfi_register %rip, %rcx
	notrack jmp *%rcx
	.cfi_adjust_cfa_offset SAVED
	.cfi_rel_offset %rbp, 48
	.cfi_rel_offset %rbx, 40
	.cfi_rel_offset %r12, 32
	.cfi_rel_offset %r13, 24
	.cfi_rel_offset %r14, 16
	.cfi_rel_offset %r15, 8
	.cfi_offset %rip, -8
2:	ldmxcsr (%rsp)
	jmp 1b
3:	fldcw 4(%rsp)
	jmp 4b
	.cfi_endproc
	.size gb__context_native_switch, . - gb__context_native_switch

/* Where a context begins: rbx is the argument, r12 the entry. No address to return to: here backtraces end. The
 * instruction before it is for who looks for the caller of this address, one byte before it. */
	.type gb__context_begin, @function
	.p2align 4
	.cfi_startproc
	.cfi_undefined %rip
	nop
gb__context_begin:
	endbr64
	movq %rbx, %rdi
	xorl %ebp, %ebp
	call *%r12
	ud2
	.cfi_endproc
	.size gb__context_begin, . - gb__context_begin

	.type gb__context_native_prepare, @function
	.p2align 4
gb__context_native_prepare:
	.cfi_startproc
	endbr64
	leaq (%rsi,%rdx), %rax
	andq $-16, %rax
	leaq -16-SAVED(%rax), %rax
	xorl %edx, %edx
	stmxcsr (%rax)
	fnstcw 4(%rax)
	movw %dx, 6(%rax)
	movq %rdx, 8(%rax)
	movq %rdx, 16(%rax)
	movq %rdx, 24(%rax)
	movq %rcx, 32(%rax)
	movq %r8, 40(%rax)
	movq %rdx, 48(%rax)
	leaq gb__context_begin(%rip), %rcx
	movq %rcx, 56(%rax)
	movq %rdx, 64(%rax)
	movq %rdx, 72(%rax)
	movq %rax, (%rdi)
	ret
	.cfi_endproc
	.size gb__context_native_prepare, . - gb__context_native_prepare

/* Without shadow stacks rdsspq does nothing. */
	.type gb__context_shadowed, @function
	.p2align 4
gb__context_shadowed:
	.cfi_startproc
	endbr64
	xorl %eax, %eax
	rdsspq %rax
	testq %rax, %rax
	setne %al
	movzbl %al, %eax
	ret
	.cfi_endproc
	.size gb__context_shadowed, . - gb__context_shadowed

/* Indirect branches find endbr64 (or say notrack), and where there is a shadow stack nothing here is switched with. */
	.section .note.gnu.property, "a"
	.p2align 3
	.long 4, 16, 5
	.asciz "GNU"
	.long 0xc0000002, 4, 3, 0
#endif
	.section .note.GNU-stack, "", %progbits
