//! The build engine on the sample product, with real git and the real sandbox.

mod build;
mod gates;
mod platforms;
mod product;
mod search;
mod stamps;
mod wine;
