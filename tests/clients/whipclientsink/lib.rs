//! Nothing: this package is there for the library that its dependency makes.
