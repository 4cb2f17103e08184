# atomic_x64: bool __atomic_compare_exchange(size_t n, void *ptr, void *expected, void *desired, int, int)
# in System V order: rdi, rsi, rdx, rcx. The source of the bytes in atomic.ts; not assembled by the build.
# A locked instruction is sequentially consistent, so both memory orders may be ignored. `expected` is
# written on success too: with the value that it already has.
        cmp     $8, %rdi
        je      8f
        cmp     $4, %rdi
        je      4f
        cmp     $2, %rdi
        je      2f
        cmp     $1, %rdi
        je      1f
        cmp     $16, %rdi
        je      6f
        ud2
8:      mov     (%rdx), %rax
        mov     (%rcx), %rcx
        lock cmpxchg %rcx, (%rsi)
        mov     %rax, (%rdx)
        sete    %al
        movzbl  %al, %eax
        ret
4:      mov     (%rdx), %eax
        mov     (%rcx), %ecx
        lock cmpxchg %ecx, (%rsi)
        mov     %eax, (%rdx)
        sete    %al
        movzbl  %al, %eax
        ret
2:      mov     (%rdx), %ax
        mov     (%rcx), %cx
        lock cmpxchg %cx, (%rsi)
        mov     %ax, (%rdx)
        sete    %al
        movzbl  %al, %eax
        ret
1:      mov     (%rdx), %al
        mov     (%rcx), %cl
        lock cmpxchg %cl, (%rsi)
        mov     %al, (%rdx)
        sete    %al
        movzbl  %al, %eax
        ret
6:      push    %rbx
        mov     %rdx, %r8
        mov     (%rcx), %rbx
        mov     8(%rcx), %rcx
        mov     (%r8), %rax
        mov     8(%r8), %rdx
        lock cmpxchg16b (%rsi)
        mov     %rax, (%r8)
        mov     %rdx, 8(%r8)
        sete    %al
        movzbl  %al, %eax
        pop     %rbx
        ret
