//! The drawing as SVG. It is complete in itself: no scripts, no fonts, no references.

use std::fmt::Write;

use super::escape::xml;
use super::layout::{Area, Label, Layout, Line, LineKind, Region, Spot, diamond_texts, layout};
use super::legend::{SIGN, Sample, Sign};
use super::style::{CSS, classes};
use crate::analyze::ecmp::TargetGraph;
use crate::model::NodeRow;

/// From this number of lines on, links are drawn lightly.
const MANY_LINES: usize = 300;

/// A drawing of the graph, layered by TTL from left to right. Silent TTLs are `*`, and diamonds are shaded.
pub fn svg(graph: &TargetGraph) -> String {
    let layout = layout(graph);
    let (width, height) = (number(layout.width), number(layout.height));
    let mut text = format!(
        "<svg xmlns=\"http://www.w3.org/2000/svg\" width=\"{width}\" height=\"{height}\" viewBox=\"0 0 {width} {height}\" role=\"img\">\n"
    );
    let _ = writeln!(text, "<title>Paths to {}</title>", graph.destination);
    let _ = writeln!(text, "<style>{CSS}</style>");
    let _ = writeln!(
        text,
        "<rect class=\"page\" width=\"{width}\" height=\"{height}\"/>"
    );
    draw(&layout, &mut text);
    text += "</svg>\n";
    text
}

fn draw(layout: &Layout, text: &mut String) {
    layout
        .regions
        .iter()
        .for_each(|region| draw_region(region, text));
    let class = match layout.lines.len() >= MANY_LINES {
        true => "lines many",
        false => "lines",
    };
    let _ = writeln!(text, "<g class=\"{class}\">");
    layout.lines.iter().for_each(|line| draw_line(line, text));
    text.push_str("</g>\n");
    layout.spots.iter().for_each(|spot| draw_spot(spot, text));
    layout
        .labels
        .iter()
        .for_each(|label| draw_label(label, text));
    layout
        .legend
        .iter()
        .for_each(|sample| draw_sample(sample, text));
}

/// A coordinate. A tenth of a pixel is enough.
fn number(value: f64) -> String {
    let text = format!("{value:.1}");
    text.strip_suffix(".0").map_or(text.clone(), str::to_owned)
}

fn rectangle(classes: &str, area: &Area, radius: u32) -> String {
    let [x, y, width, height] = [area.x, area.y, area.width, area.height].map(number);
    format!(
        "<rect class=\"{classes}\" x=\"{x}\" y=\"{y}\" width=\"{width}\" height=\"{height}\" rx=\"{radius}\"/>"
    )
}

fn draw_label(label: &Label, text: &mut String) {
    let _ = writeln!(text, "{}", of_label(label, ""));
}

fn of_label(label: &Label, further: &str) -> String {
    format!(
        "<text class=\"{}{further}\" x=\"{}\" y=\"{}\">{}</text>",
        label.style.class,
        number(label.area.x),
        // The baseline of a line of text.
        number(label.area.y + label.style.size),
        xml(&label.text)
    )
}

fn draw_region(region: &Region, text: &mut String) {
    let _ = writeln!(text, "<g class=\"of-diamond\">");
    let row = region.diamond;
    let end = |address: Option<std::net::IpAddr>| {
        address.map_or_else(|| "not known".to_owned(), |address| address.to_string())
    };
    let [size, shape] = diamond_texts(row);
    let about = format!(
        "diamond from {} to {}: {size}; {shape}",
        end(row.divergence),
        end(row.convergence)
    );
    let classes = match row.balancer {
        Some(crate::model::BalancerType::PerPacket) => "diamond per-packet",
        _ => "diamond",
    };
    let _ = writeln!(
        text,
        "<title>{}</title>{}",
        xml(&about),
        rectangle(classes, &region.area, 8)
    );
    region
        .labels
        .iter()
        .for_each(|label| draw_label(label, text));
    text.push_str("</g>\n");
}

fn draw_line(line: &Line, text: &mut String) {
    let half = (line.from.0 + line.to.0) / 2.0;
    let [x, y, half, to_x, to_y] =
        [line.from.0, line.from.1, half, line.to.0, line.to.1].map(number);
    let path = match line.kind {
        LineKind::Stub => format!("M{x} {y}H{to_x}"),
        _ => format!("M{x} {y}C{half} {y} {half} {to_y} {to_x} {to_y}"),
    };
    let _ = match line.kind {
        LineKind::Link(link) => writeln!(
            text,
            "<path class=\"link\" d=\"{path}\"><title>{} at TTL {} → {}, {} flows</title></path>",
            link.near, link.ttl.0, link.far, link.flows
        ),
        LineKind::Guide => writeln!(text, "<path class=\"guide\" d=\"{path}\"/>"),
        LineKind::Stub => writeln!(text, "<path class=\"stub\" d=\"{path}\"/>"),
    };
}

fn draw_spot(spot: &Spot, text: &mut String) {
    let Some(node) = spot.node else {
        let _ = writeln!(text, "{}", of_label(&spot.label, " silence"));
        return;
    };
    let _ = writeln!(
        text,
        "<g><title>{}</title>{}{}</g>",
        xml(&about(node)),
        rectangle(&classes(node), &spot.area, 4),
        of_label(&spot.label, "")
    );
}

/// The columns of a node, as a sentence.
fn about(node: &NodeRow) -> String {
    let mut text = format!(
        "{} at TTL {}: {} flows",
        node.address, node.ttl.0, node.flows
    );
    if let (Some(next), Some(flows)) = (node.next_hops, node.next_hop_flows) {
        text += &format!(", {next} next hops by {flows} flows");
    }
    if let Some(missed) = node.miss_probability {
        text += &format!(", one more is missed with probability {missed:.2e}");
    }
    if let Some(stopped_by) = node.stopped_by {
        text += &format!(", search ended by {stopped_by}");
    }
    if node.varies {
        text += ", inside of a per-packet balancer";
    }
    if node.is_end {
        text += ", end of paths";
    }
    text
}

fn draw_sample(sample: &Sample, text: &mut String) {
    let area = Area {
        x: sample.x,
        y: sample.y,
        width: SIGN.0,
        height: SIGN.1,
    };
    let middle = number(area.y + area.height / 2.0);
    // A class that says that it is no node and no link.
    text.push_str("<g class=\"legend\">");
    let _ = match sample.sign {
        Sign::Node(classes) => write!(text, "{}", rectangle(classes, &area, 4)),
        Sign::Region(classes) => write!(text, "{}", rectangle(classes, &area, 4)),
        Sign::Line(class) => write!(
            text,
            "<path class=\"{class}\" d=\"M{} {middle}H{}\"/>",
            number(area.x),
            number(area.right())
        ),
        Sign::Silence => write!(
            text,
            "<text class=\"address silence\" x=\"{}\" y=\"{}\">*</text>",
            number(area.x + 10.0),
            number(area.y + 11.0)
        ),
    };
    draw_label(&sample.label, text);
    text.push_str("</g>\n");
}
