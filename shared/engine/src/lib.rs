//! The build engine: checkouts, searches, builds and packages of a product, all product code boxed.
