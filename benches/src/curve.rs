//! Curves as pictures (SVG), for `docs/performance.md`, and as lines of text.

use std::error::Error;
use std::path::Path;

use plotters::prelude::*;

/// What is measured at several points.
#[derive(Debug)]
pub struct Line {
    name: &'static str,
    points: Vec<(f64, f64)>,
}

impl Line {
    /// A line without points.
    pub fn new(name: &'static str) -> Line {
        Line { name, points: Vec::new() }
    }

    /// Adds a point to the right of the others.
    pub fn point(&mut self, x: f64, y: f64) {
        self.points.push((x, y));
    }
}

/// Lines over one axis.
#[derive(Debug)]
pub struct Curve {
    title: &'static str,
    x: &'static str,
    y: &'static str,
    logarithmic: bool,
    lines: Vec<Line>,
}

impl Curve {
    /// An empty picture.
    pub fn new(title: &'static str, x: &'static str, y: &'static str) -> Curve {
        Curve { title, x, y, logarithmic: false, lines: Vec::new() }
    }

    /// The horizontal axis is logarithmic.
    pub fn logarithmic(mut self) -> Curve {
        self.logarithmic = true;
        self
    }

    /// Adds a line.
    pub fn line(mut self, line: Line) -> Curve {
        self.lines.push(line);
        self
    }

    /// Prints the figures, and draws them into the file.
    ///
    /// # Errors
    /// Those of the file.
    pub fn draw(&self, file: &Path) -> Result<(), Box<dyn Error>> {
        println!("\n{} ({} by {})", self.title, self.y, self.x);
        for line in &self.lines {
            let points = line.points.iter().map(|(x, y)| format!("{x}: {y:.3}")).collect::<Vec<_>>();
            println!("{}: {}", line.name, points.join(", "));
        }
        let all = || self.lines.iter().flat_map(|line| &line.points);
        let (left, right) =
            all().fold((f64::MAX, f64::MIN), |(low, high), (x, _)| (low.min(*x), high.max(*x)));
        let top = all().fold(0.0_f64, |top, (_, y)| top.max(*y)) * 1.1;
        let area = SVGBackend::new(file, (720, 400)).into_drawing_area();
        area.fill(&WHITE)?;
        let mut builder = ChartBuilder::on(&area);
        builder
            .caption(self.title, ("sans-serif", 20))
            .margin(12)
            .x_label_area_size(44)
            .y_label_area_size(64);
        // The two kinds of axis are types of their own.
        macro_rules! chart {
            ($x:expr) => {{
                let mut chart = builder.build_cartesian_2d($x, 0.0..top)?;
                chart.configure_mesh().x_desc(self.x).y_desc(self.y).draw()?;
                for (index, line) in self.lines.iter().enumerate() {
                    let colour = Palette99::pick(index).to_rgba();
                    chart
                        .draw_series(LineSeries::new(line.points.iter().copied(), colour.stroke_width(2)))?
                        .label(line.name)
                        .legend(move |(x, y)| {
                            PathElement::new([(x, y), (x + 16, y)], colour.stroke_width(2))
                        });
                    chart.draw_series(
                        line.points.iter().map(|point| Circle::new(*point, 3, colour.filled())),
                    )?;
                }
                chart.configure_series_labels().border_style(BLACK).background_style(WHITE).draw()?;
            }};
        }
        if self.logarithmic {
            chart!((left..right).log_scale())
        } else {
            chart!(left..right)
        }
        area.present()?;
        Ok(())
    }
}
