"""What do others call, and whom do programs call?  C pointers of compiled functions, and Numba in both directions."""
