//! Paper, pens and colours. plotters writes the SVG; layout and axes are ours, because its own cannot label a curve at its end.
//!
//! Its SVG backend knows whole pixels only, so everything is drawn twice as large as it is shown.

use plotters::coord::Shift;
use plotters::drawing::{DrawingArea, IntoDrawingArea};
use plotters::element::{Circle, PathElement, Rectangle};
use plotters::prelude::{Color, RGBColor, SVGBackend, ShapeStyle};
use plotters::style::text_anchor::{HPos, Pos, VPos};
use plotters::style::{FontStyle, IntoFont, TextStyle};

pub type Point = (i32, i32);

/// Drawn pixels for one that is shown.
const ENLARGED: u32 = 2;

pub const PAPER: RGBColor = RGBColor(0xFF, 0xFF, 0xFF);
pub const INK: RGBColor = RGBColor(0x1F, 0x29, 0x33);
pub const MUTED: RGBColor = RGBColor(0x5B, 0x67, 0x70);
pub const LINE: RGBColor = RGBColor(0x9A, 0xA5, 0xB1);
pub const FAINT: RGBColor = RGBColor(0xE4, 0xE7, 0xEB);

pub const BLUE: RGBColor = RGBColor(0x00, 0x72, 0xB2);
pub const VERMILLION: RGBColor = RGBColor(0xD5, 0x5E, 0x00);
pub const SKY: RGBColor = RGBColor(0x56, 0xB4, 0xE9);

/// Okabe and Ito, "Color universal design": told apart with any colour vision.
pub const SERIES: [RGBColor; 6] = [
    BLUE,
    VERMILLION,
    RGBColor(0x00, 0x9E, 0x73),
    RGBColor(0xCC, 0x79, 0xA7),
    RGBColor(0xE6, 0x9F, 0x00),
    SKY,
];

/// What each colour is on dark paper.
pub const DARK: [(RGBColor, &str); 11] = [
    (PAPER, "#1c2127"),
    (INK, "#e6eaee"),
    (MUTED, "#9aa7b3"),
    (LINE, "#71808e"),
    (FAINT, "#2f3740"),
    (BLUE, "#4aa8e0"),
    (VERMILLION, "#f0803a"),
    (SERIES[2], "#2fc598"),
    (SERIES[3], "#dd9bbd"),
    (SERIES[4], "#f0b93a"),
    (SKY, "#9ad4f5"),
];

#[derive(Clone, Copy)]
pub enum Stroke {
    Thin,
    Normal,
    Bold,
    Dashed,
}

#[derive(Clone, Copy)]
pub enum Anchor {
    Start,
    Middle,
    End,
}

/// One drawing. A string takes everything, so nothing here can fail.
pub struct Canvas<'b> {
    area: DrawingArea<SVGBackend<'b>, Shift>,
}

/// Draws in shown pixels and answers with the finished SVG.
pub fn drawing(size: (i32, i32), draw: impl FnOnce(&Canvas<'_>)) -> String {
    let shown = (size.0.unsigned_abs(), size.1.unsigned_abs());
    let drawn = (shown.0 * ENLARGED, shown.1 * ENLARGED);
    let mut svg = String::new();
    {
        let area = SVGBackend::with_string(&mut svg, drawn).into_drawing_area();
        area.fill(&PAPER).expect("a string takes everything");
        draw(&Canvas { area: area.clone() });
        area.present().expect("a string takes everything");
    }
    let head = |(width, height): (u32, u32)| format!("width=\"{width}\" height=\"{height}\"");
    svg.replacen(&head(drawn), &head(shown), 1)
}

impl Canvas<'_> {
    pub fn path(&self, points: &[Point], color: RGBColor, stroke: Stroke) {
        let points: Vec<Point> = points.iter().copied().map(enlarged).collect();
        match stroke {
            Stroke::Dashed => {
                for dash in dashes(&points) {
                    self.draw_path(dash.to_vec(), color.stroke_width(3));
                }
            }
            Stroke::Thin => self.draw_path(points, color.stroke_width(2)),
            Stroke::Normal => self.draw_path(points, color.stroke_width(3)),
            Stroke::Bold => self.draw_path(points, color.stroke_width(5)),
        }
    }

    fn draw_path(&self, points: Vec<Point>, style: ShapeStyle) {
        self.area.draw(&PathElement::new(points, style)).expect("a string takes everything");
    }

    pub fn bar(&self, corners: [Point; 2], color: RGBColor) {
        let bar = Rectangle::new(corners.map(enlarged), color.filled());
        self.area.draw(&bar).expect("a string takes everything");
    }

    /// A dot, or a ring where something was not met.
    pub fn mark(&self, at: Point, color: RGBColor, filled: bool) {
        let at = enlarged(at);
        let draw = |radius, style: ShapeStyle| {
            self.area.draw(&Circle::new(at, radius, style)).expect("a string takes everything");
        };
        if filled {
            draw(8, color.filled());
        } else {
            draw(8, PAPER.filled());
            draw(8, color.stroke_width(3));
        }
    }

    pub fn mark_large(&self, at: Point, color: RGBColor) {
        let circle = Circle::new(enlarged(at), 16, color.filled());
        self.area.draw(&circle).expect("a string takes everything");
    }

    pub fn text(&self, at: Point, anchor: Anchor, size: i32, color: RGBColor, text: &str) {
        self.write(at, anchor, size, color, text, FontStyle::Normal);
    }

    pub fn bold_text(&self, at: Point, anchor: Anchor, size: i32, color: RGBColor, text: &str) {
        self.write(at, anchor, size, color, text, FontStyle::Bold);
    }

    fn write(
        &self,
        at: Point,
        anchor: Anchor,
        size: i32,
        color: RGBColor,
        text: &str,
        weight: FontStyle,
    ) {
        let position = match anchor {
            Anchor::Start => HPos::Left,
            Anchor::Middle => HPos::Center,
            Anchor::End => HPos::Right,
        };
        // The backend divides font sizes by 1.24.
        let points = f64::from(size) * f64::from(ENLARGED) * 1.24;
        let style = TextStyle::from(("sans-serif", points, weight).into_font())
            .color(&color)
            .pos(Pos::new(position, VPos::Center));
        self.area.draw_text(text, &style, enlarged(at)).expect("a string takes everything");
    }
}

fn enlarged((x, y): Point) -> Point {
    let factor = i32::try_from(ENLARGED).expect("a small constant");
    (x * factor, y * factor)
}

/// Of a straight line; the backend has no dashes of its own.
fn dashes(line: &[Point]) -> Vec<[Point; 2]> {
    const ON: f64 = 10.0;
    const OFF: f64 = 8.0;
    let (Some(from), Some(to)) = (line.first(), line.last()) else { return Vec::new() };
    let (dx, dy) = (f64::from(to.0 - from.0), f64::from(to.1 - from.1));
    let length = dx.hypot(dy);
    let at = |distance: f64| {
        let part = (distance / length).min(1.0);
        (from.0 + (dx * part) as i32, from.1 + (dy * part) as i32)
    };
    let mut dashes = Vec::new();
    let mut start = 0.0;
    while start < length {
        dashes.push([at(start), at(start + ON)]);
        start += ON + OFF;
    }
    dashes
}
