// atomic_arm64: bool __atomic_compare_exchange(size_t n, void *ptr, void *expected, void *desired, int, int)
// in AAPCS64 order: x0, x1, x2, x3. The source of the bytes in atomic.ts; not assembled by the build.
// Load-acquire and store-release exclusive are sequentially consistent, so both memory orders may be
// ignored. `expected` is written on success too: with the value that it already has. What is found is
// stored back when it differs, because a pair is only read as one when its store succeeds.
        cmp     x0, #8
        b.eq    8f
        cmp     x0, #4
        b.eq    4f
        cmp     x0, #2
        b.eq    2f
        cmp     x0, #1
        b.eq    1f
        cmp     x0, #16
        b.eq    6f
        udf     #0
8:      ldr     x4, [x2]
        ldr     x5, [x3]
0:      ldaxr   x6, [x1]
        cmp     x6, x4
        csel    x7, x5, x6, eq
        stlxr   w8, x7, [x1]
        cbnz    w8, 0b
        str     x6, [x2]
        cset    w0, eq
        ret
4:      ldr     w4, [x2]
        ldr     w5, [x3]
0:      ldaxr   w6, [x1]
        cmp     w6, w4
        csel    w7, w5, w6, eq
        stlxr   w8, w7, [x1]
        cbnz    w8, 0b
        str     w6, [x2]
        cset    w0, eq
        ret
2:      ldrh    w4, [x2]
        ldrh    w5, [x3]
0:      ldaxrh  w6, [x1]
        cmp     w6, w4
        csel    w7, w5, w6, eq
        stlxrh  w8, w7, [x1]
        cbnz    w8, 0b
        strh    w6, [x2]
        cset    w0, eq
        ret
1:      ldrb    w4, [x2]
        ldrb    w5, [x3]
0:      ldaxrb  w6, [x1]
        cmp     w6, w4
        csel    w7, w5, w6, eq
        stlxrb  w8, w7, [x1]
        cbnz    w8, 0b
        strb    w6, [x2]
        cset    w0, eq
        ret
6:      ldp     x4, x5, [x2]
        ldp     x6, x7, [x3]
0:      ldaxp   x9, x10, [x1]
        cmp     x9, x4
        ccmp    x10, x5, #0, eq
        csel    x11, x6, x9, eq
        csel    x12, x7, x10, eq
        stlxp   w8, x11, x12, [x1]
        cbnz    w8, 0b
        stp     x9, x10, [x2]
        cset    w0, eq
        ret
