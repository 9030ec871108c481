"""Kernels to native code: LLVM IR, object code, linking, the disk cache.  The only package that imports llvmlite."""
