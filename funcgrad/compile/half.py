"""How is half precision converted on a CPU that cannot do it?  The two functions that LLVM calls there, in LLVM IR.

A half's bits, moved to where a float has them, are the same number but for the exponent's bias: a multiplication by
2**112 mends it, subnormals included.  The other way, normal halves are rounded on the bits, and the others by adding a
number whose last bit is the smallest subnormal half (IEEE 754-2019, 4.3.1: to nearest, ties to even).
"""

SYMBOLS = ("__extendhfsf2", "__truncsfhf2")

TEXT = """
define float @__extendhfsf2(half %x) {
  %h = bitcast half %x to i16
  %b = zext i16 %h to i32
  %a = and i32 %b, 32767
  %s = and i32 %b, 32768
  %sign = shl i32 %s, 16
  %moved = shl i32 %a, 13
  %small = bitcast i32 %moved to float
  %number = fmul float %small, 0x46F0000000000000
  %finite = bitcast float %number to i32
  %special = or i32 %moved, 2139095040
  %is.special = icmp uge i32 %a, 31744
  %bits = select i1 %is.special, i32 %special, i32 %finite
  %signed = or i32 %bits, %sign
  %r = bitcast i32 %signed to float
  ret float %r
}

define half @__truncsfhf2(float %x) {
  %b = bitcast float %x to i32
  %a = and i32 %b, 2147483647
  %top = lshr i32 %b, 16
  %sign = and i32 %top, 32768
  %cut = lshr i32 %a, 13
  %odd = and i32 %cut, 1
  %rebiased = sub i32 %a, 939520001
  %tie = add i32 %rebiased, %odd
  %normal = lshr i32 %tie, 13
  %magnitude = bitcast i32 %a to float
  %aligned = fadd float %magnitude, 5.000000e-01
  %aligned.bits = bitcast float %aligned to i32
  %subnormal = sub i32 %aligned.bits, 1056964608
  %is.subnormal = icmp ult i32 %a, 947912704
  %finite = select i1 %is.subnormal, i32 %subnormal, i32 %normal
  %is.nan = icmp ugt i32 %a, 2139095040
  %special = select i1 %is.nan, i32 32256, i32 31744
  %is.special = icmp uge i32 %a, 1199570944
  %bits = select i1 %is.special, i32 %special, i32 %finite
  %signed = or i32 %bits, %sign
  %h = trunc i32 %signed to i16
  %r = bitcast i16 %h to half
  ret half %r
}
"""
