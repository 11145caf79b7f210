// For kernels with inner loops: what follows in their files is compiled for
// speed also where all else is compiled for size, as Arduino does. It declares
// nothing, so it needs no guard.
#if defined(__GNUC__) && !defined(__clang__) && defined(__OPTIMIZE_SIZE__)
#pragma GCC optimize("O2")
#endif
