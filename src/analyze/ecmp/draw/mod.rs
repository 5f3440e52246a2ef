//! The graph of one target as text that other programs draw, and as a drawing.
//!
//! | file | holds |
//! |---|---|
//! | `dot`, `graphml` | the graph for other programs; `attributes` has the values of nodes and links |
//! | `svg` | the drawing; `style` has its colours, `legend` its signs |
//! | `layers` | the nodes by TTL, and what joins them |
//! | `order` | the order of the nodes of a TTL, so that few links cross |
//! | `place`, `layout` | where everything stands |
//! | `escape` | texts within DOT and XML |
//!
//! Guarantees:
//! - DOT, GraphML and SVG have every node once and every link once, and no other.
//! - The same graph gives the same text.
//! - Nothing that a dataset holds is taken for markup.
//! - In the drawing, no two labels overlap, and every label is within its box.

mod attributes;
mod dot;
mod escape;
mod graphml;
mod layers;
mod layout;
mod legend;
mod order;
mod place;
mod style;
mod svg;
#[cfg(test)]
mod tests;

pub use dot::dot;
pub use graphml::graphml;
pub use svg::svg;
