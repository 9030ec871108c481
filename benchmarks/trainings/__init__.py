"""How long does a whole training take, from the start of the interpreter?  In funcgrad, in JAX and in PyTorch.

Three of the examples' trainings, each written three times as users of the library would: a file each.
"""
