// void brenier_fiber_switch(void **save, void *load): puts the registers that a call must keep on the
// stack, the stack pointer into *save, and takes them back from the stack at `load`.
// void brenier_fiber_start(): where a fresh stack (Fiber::prepare) returns to; calls its entry.
#if defined(__x86_64__)
	.text
	.globl brenier_fiber_switch
	.hidden brenier_fiber_switch
	.type brenier_fiber_switch, @function
brenier_fiber_switch:
	pushq %rbp
	pushq %rbx
	pushq %r12
	pushq %r13
	pushq %r14
	pushq %r15
	movq %rsp, (%rdi)
	movq %rsi, %rsp
	popq %r15
	popq %r14
	popq %r13
	popq %r12
	popq %rbx
	popq %rbp
	ret
	.size brenier_fiber_switch, . - brenier_fiber_switch

	.globl brenier_fiber_start
	.hidden brenier_fiber_start
	.type brenier_fiber_start, @function
brenier_fiber_start:
	movq %r12, %rdi
	xorl %ebp, %ebp
	call *%rbx
	ud2
	.size brenier_fiber_start, . - brenier_fiber_start
#elif defined(__aarch64__)
	.text
	.globl brenier_fiber_switch
	.hidden brenier_fiber_switch
	.type brenier_fiber_switch, %function
brenier_fiber_switch:
	sub sp, sp, #160
	stp x19, x20, [sp, #0]
	stp x21, x22, [sp, #16]
	stp x23, x24, [sp, #32]
	stp x25, x26, [sp, #48]
	stp x27, x28, [sp, #64]
	stp x29, x30, [sp, #80]
	stp d8, d9, [sp, #96]
	stp d10, d11, [sp, #112]
	stp d12, d13, [sp, #128]
	stp d14, d15, [sp, #144]
	mov x9, sp
	str x9, [x0]
	mov sp, x1
	ldp x19, x20, [sp, #0]
	ldp x21, x22, [sp, #16]
	ldp x23, x24, [sp, #32]
	ldp x25, x26, [sp, #48]
	ldp x27, x28, [sp, #64]
	ldp x29, x30, [sp, #80]
	ldp d8, d9, [sp, #96]
	ldp d10, d11, [sp, #112]
	ldp d12, d13, [sp, #128]
	ldp d14, d15, [sp, #144]
	add sp, sp, #160
	ret
	.size brenier_fiber_switch, . - brenier_fiber_switch

	.globl brenier_fiber_start
	.hidden brenier_fiber_start
	.type brenier_fiber_start, %function
brenier_fiber_start:
	mov x0, x20
	mov x29, #0
	blr x19
	brk #1
	.size brenier_fiber_start, . - brenier_fiber_start
#endif
#if defined(__linux__)
	.section .note.GNU-stack, "", %progbits
#endif
