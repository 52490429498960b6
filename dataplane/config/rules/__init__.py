"""The rules about configuration: one module per noun, pure functions from a lookup to problems.

A rule looks at what is well formed and says what contradicts the rule book (spec.md) or is probably not
meant. Rules never change anything and never depend on one another's findings.
"""
