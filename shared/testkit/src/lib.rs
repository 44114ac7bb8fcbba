//! Memory ports, contract suites, a fixed clock, seeded ids and fault decorators.
