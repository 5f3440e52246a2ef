//! Where everything stands in the drawing. TTLs go from left to right, because labels are wide and low.
//!
//! Lengths are in pixels. Texts are in a font whose characters all have the same width, so their sizes are known without the font.

use unicode_width::UnicodeWidthStr;

use super::layers::Layers;
use super::legend::{self, Sample};
use super::order::order;
use super::place::heights;
use super::style::{HEADER, LABEL, NODE, TITLE};
use crate::analyze::ecmp::{Source, TargetGraph};
use crate::model::{Algorithm, BalancerType, DiamondRow, LinkRow, NodeRow};

/// The width of a character, as a share of the size of its font. Usual fonts have 0.55 to 0.602.
const ADVANCE: f64 = 0.62;
/// The height of a line of text, as a share of the size of its font.
const LINE: f64 = 1.3;
/// Around the drawing.
pub(super) const MARGIN: f64 = 24.0;
/// Within a box, on both sides of its label.
const PADDING: f64 = 8.0;
/// From a diamond's nodes to its edge.
const AROUND: f64 = 14.0;
const NODE_HEIGHT: f64 = 20.0;
/// From the middle of a node to that of the next one.
const DISTANCE: f64 = 26.0;
/// Between two layers: at least, for each line between them, and at most.
const GAP: (f64, f64, f64) = (48.0, 1.2, 190.0);
/// The line beside a node whose next or previous hop is silent.
const STUB: f64 = 16.0;
/// The longest text of a target or a name in the title, in characters.
const LONGEST_NAME: usize = 64;

/// A rectangle.
#[derive(Clone, Copy, Debug, PartialEq)]
pub(super) struct Area {
    pub x: f64,
    pub y: f64,
    pub width: f64,
    pub height: f64,
}

/// A line of text.
#[derive(Clone, Debug, PartialEq)]
pub(super) struct Label {
    pub area: Area,
    pub text: String,
    pub style: TextStyle,
}

/// The class of a text, and the size of its font.
#[derive(Clone, Copy, Debug, PartialEq)]
pub(super) struct TextStyle {
    pub class: &'static str,
    pub size: f64,
}

/// A node, or silence.
pub(super) struct Spot<'g> {
    pub area: Area,
    pub label: Label,
    pub node: Option<&'g NodeRow>,
}

/// A diamond: its area, with its labels at the top.
pub(super) struct Region<'g> {
    pub area: Area,
    pub labels: Vec<Label>,
    pub diamond: &'g DiamondRow,
}

/// What joins two spots.
pub(super) struct Line<'g> {
    pub from: (f64, f64),
    pub to: (f64, f64),
    pub kind: LineKind<'g>,
}

#[derive(Clone, Copy)]
pub(super) enum LineKind<'g> {
    Link(&'g LinkRow),
    /// The paths go on, but which nodes are linked is not known.
    Guide,
    /// The next or the previous hop of a node is silent.
    Stub,
}

/// The whole drawing.
pub(super) struct Layout<'g> {
    pub width: f64,
    pub height: f64,
    /// The title, and the headers of the TTLs.
    pub labels: Vec<Label>,
    pub regions: Vec<Region<'g>>,
    pub lines: Vec<Line<'g>>,
    pub spots: Vec<Spot<'g>>,
    pub legend: Vec<Sample>,
}

impl Label {
    /// A text whose area starts at (x, y).
    pub(super) fn new(text: String, style: TextStyle, x: f64, y: f64) -> Self {
        let area = Area {
            x,
            y,
            width: width_of(&text, style),
            height: style.size * LINE,
        };
        Label { area, text, style }
    }
}

impl Area {
    pub(super) fn right(&self) -> f64 {
        self.x + self.width
    }

    pub(super) fn bottom(&self) -> f64 {
        self.y + self.height
    }

    fn middle(&self) -> f64 {
        self.y + self.height / 2.0
    }
}

pub(super) fn width_of(text: &str, style: TextStyle) -> f64 {
    text.width() as f64 * style.size * ADVANCE
}

/// Places the graph.
pub(super) fn layout(graph: &TargetGraph) -> Layout<'_> {
    let layers = Layers::new(graph);
    let mut labels = title(graph);
    let titles = { labels.iter() }.fold((0.0f64, 0.0f64), |(right, bottom), label| {
        (
            right.max(label.area.right()),
            bottom.max(label.area.bottom()),
        )
    });
    let columns = columns(graph, &layers);
    let top = titles.1 + 16.0;
    for (column, layer) in columns.iter().zip(&layers.layers) {
        labels.extend(header(layer.ttl, layer.slots.len(), column, top));
    }
    let sizes: Vec<usize> = layers.layers.iter().map(|l| l.slots.len()).collect();
    let heights = heights(&order(&sizes, &layers.edges), &layers.edges, DISTANCE);
    let room = match graph.diamonds.is_empty() {
        true => 0.0,
        false => AROUND + 2.0 * LABEL.size * LINE,
    };
    let first = top + 2.0 * HEADER.size * LINE + 12.0 + room;
    let mut grid: Vec<Vec<Spot>> = Vec::new();
    for ((column, layer), heights) in columns.iter().zip(&layers.layers).zip(&heights) {
        let spots = layer.slots.iter().copied().zip(heights);
        let spots = spots.map(|(node, y)| spot(node, column, first + y));
        grid.push(spots.collect());
    }
    let regions = regions(graph, &layers, &grid);
    let lines = lines(&layers, &grid);
    let right = columns.last().map_or(0.0, |column| column.right() + STUB);
    let width = right.max(titles.0).max(480.0) + MARGIN;
    let spots: Vec<Spot> = grid.into_iter().flatten().collect();
    let lowest = spots.iter().map(|spot| spot.area.bottom());
    let bottom = lowest.fold(first, f64::max) + AROUND + MARGIN;
    let legend = legend::legend(graph, &spots, &lines, width, bottom);
    let bottom = { legend.iter() }.fold(bottom, |least, sample| {
        least.max(sample.label.area.bottom())
    });
    Layout {
        width,
        height: bottom + MARGIN,
        labels,
        regions,
        lines,
        spots,
        legend,
    }
}

/// The lines above the drawing.
fn title(graph: &TargetGraph) -> Vec<Label> {
    let run = &graph.run;
    let destination = graph.destination.to_string();
    let mut name = format!("Paths to {destination}");
    if graph.target_input != destination && !graph.target_input.is_empty() {
        name += &format!(" ({})", shortened(&graph.target_input));
    }
    let time = { run.started_at_us }
        .and_then(chrono::DateTime::from_timestamp_micros)
        .map_or_else(
            || "at an unknown time".to_owned(),
            |time| time.format("%Y-%m-%d %H:%M UTC").to_string(),
        );
    let from = format!(
        "from {}, {time}, {} flows that differ in the {}, run {}",
        shortened(&run.vantage),
        run.protocol,
        shortened(&run.vary.replace('_', " ")),
        shortened(&run.run_id)
    );
    let claim = match (graph.source, graph.failure_bound) {
        (Source::Flows, _) => format!(
            "the paths of {} flows: other flows may take other paths",
            graph.flows
        ),
        (_, Some(bound)) => {
            let lite = match graph.algorithm.as_deref() == Some(Algorithm::Lite.as_str()) {
                true => ", if MDA-Lite missed no mesh",
                false => "",
            };
            format!("probability that a node or a link is missing: at most {bound}{lite}")
        }
        (_, None) => "it is not known how much may be missing".to_owned(),
    };
    let probes = { graph.probes }.map_or_else(String::new, |probes| {
        format!(", {}", counted(probes, "probe"))
    });
    let size = format!(
        "{}: {}{probes}, {}, {}, {}",
        graph.stop_reason.as_deref().unwrap_or("several ends"),
        counted(graph.flows, "flow"),
        counted(graph.nodes.len() as u64, "node"),
        counted(graph.links.len() as u64, "link"),
        counted(graph.diamonds.len() as u64, "diamond")
    );
    let mut lines = vec![(name, TITLE), (from, LABEL), (claim, LABEL), (size, LABEL)];
    if graph.nodes.is_empty() {
        lines.push(("no address answered".to_owned(), LABEL));
    }
    let mut y = MARGIN;
    let mut labels = Vec::new();
    for (text, style) in lines {
        let label = Label::new(text, style, MARGIN, y);
        y = label.area.bottom() + 2.0;
        labels.push(label);
    }
    labels
}

fn counted(number: u64, what: &str) -> String {
    let plural = if number == 1 { "" } else { "s" };
    format!("{number} {what}{plural}")
}

/// A name that is not too long for a title.
fn shortened(name: &str) -> String {
    if name.width() <= LONGEST_NAME {
        return name.to_owned();
    }
    let mut short = String::new();
    for c in name.chars() {
        if short.width() >= LONGEST_NAME - 2 {
            break;
        }
        short.push(c);
    }
    short + "…"
}

/// The columns of the layers, wide enough for their labels and those of their diamonds. Only `x` and `width` count.
fn columns(graph: &TargetGraph, layers: &Layers) -> Vec<Area> {
    let mut widths: Vec<f64> = Vec::new();
    for layer in &layers.layers {
        let header = header_texts(layer.ttl, layer.slots.len());
        let headers = header.iter().map(|text| width_of(text, HEADER));
        let labels = layer
            .slots
            .iter()
            .map(|slot| width_of(&label_of(*slot), NODE));
        let labels = labels.map(|width| width + 2.0 * PADDING);
        widths.push(headers.chain(labels).fold(0.0, f64::max));
    }
    let gap = |edges: usize| (GAP.0 + GAP.1 * edges as f64).min(GAP.2);
    let gaps: Vec<f64> = layers.edges.iter().map(|edges| gap(edges.len())).collect();
    for diamond in &graph.diamonds {
        let Some((first, last)) = span(layers, diamond) else {
            continue;
        };
        let inner: f64 = widths[first..=last].iter().sum();
        let between: f64 = gaps[first..last].iter().sum();
        let lines = diamond_texts(diamond);
        let lines = lines.iter().map(|text| width_of(text, LABEL));
        let needed = lines.fold(0.0, f64::max) + 2.0 * PADDING;
        widths[first] += (needed - inner - between - 2.0 * AROUND).max(0.0);
    }
    let mut x = MARGIN + AROUND;
    let mut columns = Vec::new();
    for (at, width) in widths.into_iter().enumerate() {
        columns.push(Area {
            x,
            y: 0.0,
            width,
            height: 0.0,
        });
        x += width + gaps.get(at).copied().unwrap_or(0.0);
    }
    columns
}

/// The first and the last layer of a diamond. `None` if the graph does not have them.
fn span(layers: &Layers, diamond: &DiamondRow) -> Option<(usize, usize)> {
    let at = |ttl: u8| layers.layers.iter().position(|layer| layer.ttl == ttl);
    let (first, last) = (at(diamond.first_ttl.0)?, at(diamond.last_ttl.0)?);
    (first <= last).then_some((first, last))
}

fn header_texts(ttl: u8, slots: usize) -> Vec<String> {
    let mut texts = vec![format!("TTL {ttl}")];
    if slots > 1 {
        texts.push(format!("{slots} nodes"));
    }
    texts
}

fn header(ttl: u8, slots: usize, column: &Area, top: f64) -> Vec<Label> {
    let mut y = top;
    let place = |text: String| {
        let x = column.x + (column.width - width_of(&text, HEADER)) / 2.0;
        let label = Label::new(text, HEADER, x, y);
        y = label.area.bottom();
        label
    };
    header_texts(ttl, slots).into_iter().map(place).collect()
}

fn label_of(slot: Option<&NodeRow>) -> String {
    slot.map_or_else(|| "*".to_owned(), |node| node.address.to_string())
}

fn spot<'g>(node: Option<&'g NodeRow>, column: &Area, y: f64) -> Spot<'g> {
    let text = label_of(node);
    let width = width_of(&text, NODE) + 2.0 * PADDING;
    let area = Area {
        x: column.x + (column.width - width) / 2.0,
        y,
        width,
        height: NODE_HEIGHT,
    };
    let mut label = Label::new(text, NODE, area.x + PADDING, 0.0);
    label.area.y = area.middle() - label.area.height / 2.0;
    Spot { area, label, node }
}

/// The lines within a diamond's area.
pub(super) fn diamond_texts(diamond: &DiamondRow) -> [String; 2] {
    let size = format!("width {}, length {}", diamond.max_width, diamond.max_length);
    let mut shape = match diamond.balancer {
        Some(BalancerType::PerFlow) => "per flow".to_owned(),
        Some(BalancerType::PerPacket) => "per packet".to_owned(),
        Some(BalancerType::PerDestination) => "per destination".to_owned(),
        None => "type not known".to_owned(),
    };
    if diamond.meshed == Some(true) {
        shape += ", meshed";
    }
    if let Some(asymmetry @ 1..) = diamond.width_asymmetry {
        shape += &format!(", asymmetry {asymmetry}");
    }
    [size, shape]
}

fn regions<'g>(graph: &'g TargetGraph, layers: &Layers, grid: &[Vec<Spot>]) -> Vec<Region<'g>> {
    let region = |diamond: &'g DiamondRow| {
        let (first, last) = span(layers, diamond)?;
        let spots = || grid[first..=last].iter().flatten().map(|spot| &spot.area);
        let texts = diamond_texts(diamond);
        let widest = texts
            .iter()
            .map(|text| width_of(text, LABEL))
            .fold(0.0, f64::max);
        let left = spots().map(|area| area.x).fold(f64::INFINITY, f64::min) - AROUND;
        let right = spots().map(Area::right).fold(0.0, f64::max) + AROUND;
        let upper = spots().map(|area| area.y).fold(f64::INFINITY, f64::min);
        let lower = spots().map(Area::bottom).fold(0.0, f64::max) + AROUND;
        // The columns are wide enough for the labels; the nodes in their middle may be narrower.
        let lacking = (widest + 2.0 * PADDING - (right - left)).max(0.0);
        let line = LABEL.size * LINE;
        let area = Area {
            x: left - lacking / 2.0,
            y: upper - AROUND - 2.0 * line,
            width: right - left + lacking,
            height: lower - upper + AROUND + 2.0 * line,
        };
        let labels = (0u8..).zip(texts).map(|(at, text)| {
            let y = area.y + 4.0 + f64::from(at) * line;
            Label::new(text, LABEL, area.x + PADDING, y)
        });
        Some(Region {
            area,
            labels: labels.collect(),
            diamond,
        })
    };
    graph.diamonds.iter().filter_map(region).collect()
}

fn lines<'g>(layers: &Layers<'g>, grid: &[Vec<Spot>]) -> Vec<Line<'g>> {
    let mut lines = Vec::new();
    for ((near, far), edges) in grid.iter().zip(grid.iter().skip(1)).zip(&layers.edges) {
        for edge in edges {
            let (near, far) = (near[edge.near].area, far[edge.far].area);
            lines.push(Line {
                from: (near.right(), near.middle()),
                to: (far.x, far.middle()),
                kind: edge.link.map_or(LineKind::Guide, LineKind::Link),
            });
        }
    }
    for (layer, spots) in grid.iter().enumerate() {
        for (slot, spot) in spots.iter().enumerate() {
            let (area, y) = (&spot.area, spot.area.middle());
            let mut stub = |from: f64, to: f64| {
                lines.push(Line {
                    from: (from, y),
                    to: (to, y),
                    kind: LineKind::Stub,
                });
            };
            if layers.fades(layer, slot) {
                stub(area.right(), area.right() + STUB);
            }
            if layers.emerges(layer, slot) {
                stub(area.x - STUB, area.x);
            }
        }
    }
    lines
}
