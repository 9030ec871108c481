"""The typed intermediate representation: types, primitives, programs, their text, their rules,
their reference meaning.
"""
