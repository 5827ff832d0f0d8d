//! A plot: title, axes, curves, and a label at the end of each curve instead of a legend.

use super::axis::Axis;
use super::canvas::{Anchor, BLUE, Canvas, FAINT, INK, LINE, MUTED, PAPER, Point, Stroke, drawing};
use plotters::prelude::RGBColor;

const WIDTH: i32 = 900;
const HEIGHT: i32 = 350;
const LABEL_HEIGHT: i32 = 16;
const NOTE_HEIGHT: i32 = 20;

/// Pixels of the plotting area, from the lowest value to the highest.
pub const ACROSS: (i32, i32) = (64, 760);
pub const UP: (i32, i32) = (HEIGHT - 50, 62);

pub struct Frame {
    pub title: String,
    /// What is on the y axis, with its unit, and what else a reader must know.
    pub subtitle: String,
    pub x_title: &'static str,
    pub x: Axis,
    pub y: Axis,
    /// Numbered lines below the plot.
    pub notes: Vec<String>,
}

pub struct Plot<'c, 'b> {
    canvas: &'c Canvas<'b>,
    x: Axis,
    y: Axis,
    labels: Vec<Label>,
}

struct Label {
    height: i32,
    color: RGBColor,
    text: String,
}

impl Frame {
    pub fn draw(self, content: impl FnOnce(&mut Plot<'_, '_>)) -> String {
        let height = HEIGHT + NOTE_HEIGHT * i32::try_from(self.notes.len()).unwrap_or(0);
        drawing((WIDTH, height), |canvas| {
            self.decorate(canvas);
            let mut plot = Plot { canvas, x: self.x, y: self.y, labels: Vec::new() };
            content(&mut plot);
            plot.finish();
        })
    }

    fn decorate(&self, canvas: &Canvas<'_>) {
        canvas.bold_text((16, 18), Anchor::Start, 15, INK, &self.title);
        canvas.text((16, 39), Anchor::Start, 12, MUTED, &self.subtitle);
        for (value, label) in &self.y.ticks {
            let y = self.y.place(*value);
            canvas.path(&[(ACROSS.0, y), (ACROSS.1, y)], FAINT, Stroke::Thin);
            canvas.text((ACROSS.0 - 8, y), Anchor::End, 12, MUTED, label);
        }
        for (value, label) in &self.x.ticks {
            let x = self.x.place(*value);
            canvas.path(&[(x, UP.0), (x, UP.0 + 5)], LINE, Stroke::Thin);
            canvas.text((x, UP.0 + 17), Anchor::Middle, 12, MUTED, label);
        }
        canvas.path(&[(ACROSS.0, UP.0), (ACROSS.1, UP.0)], LINE, Stroke::Thin);
        canvas.text((ACROSS.1, UP.0 + 37), Anchor::End, 12, MUTED, self.x_title);
        for (index, note) in (0..).zip(&self.notes) {
            let y = HEIGHT + NOTE_HEIGHT * index;
            number(canvas, (ACROSS.0 + 9, y), index + 1);
            canvas.text((ACROSS.0 + 26, y), Anchor::Start, 12, MUTED, note);
        }
    }
}

impl Plot<'_, '_> {
    pub fn place(&self, x: f64, y: f64) -> Point {
        (self.x.place(x), self.y.place(y))
    }

    /// Where there is no value the curve is interrupted.
    pub fn curve(&self, points: &[(f64, Option<f64>)], color: RGBColor, stroke: Stroke) {
        for part in points.split(|(_, y)| y.is_none()) {
            let mut pixels: Vec<Point> =
                part.iter().filter_map(|(x, y)| Some(self.place(*x, (*y)?))).collect();
            pixels.dedup();
            match pixels[..] {
                [] => {}
                // A second alone between gaps is still seen.
                [(x, y)] => self.canvas.path(&[(x - 2, y), (x + 2, y)], color, stroke),
                _ => self.canvas.path(&pixels, color, stroke),
            }
        }
    }

    pub fn mark(&self, x: f64, y: f64, color: RGBColor, filled: bool) {
        self.canvas.mark(self.place(x, y), color, filled);
    }

    pub fn bar(&self, (left, right): (i32, i32), y: f64, label: &str) {
        let top = self.y.place(y);
        self.canvas.bar([(left, top), (right, UP.0)], BLUE);
        self.canvas.text(((left + right) / 2, top - 9), Anchor::Middle, 11, MUTED, label);
    }

    /// Names what ends at this height, at the right of the plot.
    pub fn end_label(&mut self, y: f64, color: RGBColor, text: impl Into<String>) {
        self.labels.push(Label { height: self.y.place(y), color, text: text.into() });
    }

    /// The same, for a curve with its last value.
    pub fn curve_label(
        &mut self,
        points: &[(f64, Option<f64>)],
        color: RGBColor,
        text: impl Into<String>,
    ) {
        if let Some(last) = points.iter().rev().find_map(|(_, y)| *y) {
            self.end_label(last, color, text);
        }
    }

    /// A limit, from edge to edge.
    pub fn limit(&mut self, y: f64, text: &str) {
        let height = self.y.place(y);
        self.canvas.path(&[(ACROSS.0, height), (ACROSS.1, height)], INK, Stroke::Dashed);
        self.end_label(y, INK, text);
    }

    /// A moment at which something was done, by the number of its note.
    pub fn moment(&self, x: f64, note: usize) {
        let x = self.x.place(x);
        self.canvas.path(&[(x, UP.0), (x, UP.1)], INK, Stroke::Dashed);
        number(self.canvas, (x, UP.1 - 4), i32::try_from(note).unwrap_or(0));
    }

    fn finish(mut self) {
        self.labels.sort_by_key(|label| label.height);
        let heights: Vec<i32> = self.labels.iter().map(|label| label.height).collect();
        for (label, height) in self.labels.iter().zip(spread(&heights)) {
            self.canvas.text((ACROSS.1 + 10, height), Anchor::Start, 12, label.color, &label.text);
        }
    }
}

fn number(canvas: &Canvas<'_>, at: Point, value: i32) {
    canvas.mark_large(at, INK);
    canvas.bold_text(at, Anchor::Middle, 10, PAPER, &value.to_string());
}

/// Moves labels apart, downwards first and then back up from the bottom, so that none covers another.
fn spread(heights: &[i32]) -> Vec<i32> {
    let mut placed: Vec<i32> = Vec::with_capacity(heights.len());
    for height in heights {
        let lowest = placed.last().map_or(UP.1, |last| last + LABEL_HEIGHT);
        placed.push((*height).max(lowest));
    }
    let mut bottom = UP.0;
    for height in placed.iter_mut().rev() {
        *height = (*height).min(bottom);
        bottom = *height - LABEL_HEIGHT;
    }
    placed
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn labels_never_cover_each_other() {
        let heights = [100, 100, 102, 299, 300, 300];
        let placed = spread(&heights);
        assert!(placed.windows(2).all(|pair| pair[1] - pair[0] >= LABEL_HEIGHT), "{placed:?}");
        assert!(placed.iter().all(|height| (UP.1..=UP.0).contains(height)), "{placed:?}");
    }
}
