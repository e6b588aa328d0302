//! Line plots as SVG, for the documentation.

use anyhow::{Context, Result};
use plotters::prelude::*;
use std::ops::Range;
use std::path::Path;

/// A line plot with a title. Each axis has a label and a scale.
pub(crate) struct Plot<'a> {
    pub(crate) title: &'a str,
    pub(crate) x: (&'a str, Scale),
    pub(crate) y: (&'a str, Scale),
}

/// The scale of an axis.
#[derive(Clone, Copy, PartialEq)]
pub(crate) enum Scale {
    Linear,
    Logarithmic,
}

/// A name and its points.
pub(crate) type Series = (String, Vec<(f64, f64)>);

/// Colours that colour-blind people tell apart, too (Okabe and Ito).
const COLOURS: [RGBColor; 6] = [
    RGBColor(0, 114, 178),
    RGBColor(213, 94, 0),
    RGBColor(0, 158, 115),
    RGBColor(204, 121, 167),
    RGBColor(230, 159, 0),
    RGBColor(86, 180, 233),
];

impl Plot<'_> {
    /// Draws the series into an SVG file.
    pub(crate) fn draw(&self, file: &Path, series: &[Series]) -> Result<()> {
        let coordinates = |(x, y): &(f64, f64)| (self.x.1.coordinate(*x), self.y.1.coordinate(*y));
        let all: Vec<(f64, f64)> = series.iter().flat_map(|(_, points)| points.iter().map(coordinates)).collect();
        let xs = self.x.1.range(all.iter().map(|point| point.0));
        let ys = self.y.1.range(all.iter().map(|point| point.1));
        let area = SVGBackend::new(file, (640, 400)).into_drawing_area();
        area.fill(&WHITE)?;
        let mut chart = ChartBuilder::on(&area)
            .caption(self.title, ("sans-serif", 16))
            .margin(10)
            .x_label_area_size(40)
            .y_label_area_size(60)
            .build_cartesian_2d(xs, ys)?;
        chart
            .configure_mesh()
            .x_desc(self.x.0)
            .y_desc(self.y.0)
            .x_labels(8)
            .y_labels(8)
            .light_line_style(WHITE)
            .x_label_formatter(&|x| self.x.1.label(*x))
            .y_label_formatter(&|y| self.y.1.label(*y))
            .draw()?;
        for (index, (name, points)) in series.iter().enumerate() {
            let colour = COLOURS[index % COLOURS.len()];
            let points: Vec<(f64, f64)> = points.iter().map(coordinates).collect();
            chart
                .draw_series(LineSeries::new(points.clone(), colour.stroke_width(2)))?
                .label(name)
                .legend(move |(x, y)| PathElement::new(vec![(x, y), (x + 16, y)], colour.stroke_width(2)));
            chart.draw_series(points.iter().map(|point| Circle::new(*point, 3, colour.filled())))?;
        }
        chart
            .configure_series_labels()
            .position(SeriesLabelPosition::UpperLeft)
            .background_style(WHITE.mix(0.8))
            .border_style(BLACK.mix(0.2))
            .draw()?;
        area.present().with_context(|| format!("cannot write {}", file.display()))?;
        println!("    {}", file.display());
        Ok(())
    }
}

impl Scale {
    /// Returns the coordinate of a value on the axis.
    fn coordinate(self, value: f64) -> f64 {
        if self == Scale::Logarithmic { value.log10() } else { value }
    }

    /// Returns the range of an axis that shows all coordinates, with 0 in it if it is linear.
    fn range(self, coordinates: impl Iterator<Item = f64>) -> Range<f64> {
        let (mut min, mut max) = coordinates.fold((f64::MAX, f64::MIN), |(min, max), at| (min.min(at), max.max(at)));
        if self == Scale::Linear {
            min = min.min(0.0);
        }
        let margin = 0.05 * (max - min).max(0.1);
        max += margin;
        if self == Scale::Logarithmic {
            min -= margin;
        }
        min..max
    }

    /// Returns the label of a coordinate. On a logarithmic axis only powers of ten have one.
    fn label(self, coordinate: f64) -> String {
        if self == Scale::Logarithmic && (coordinate - coordinate.round()).abs() > 0.01 {
            return String::new();
        }
        let value = if self == Scale::Logarithmic { 10_f64.powf(coordinate) } else { coordinate };
        match value.abs() {
            0.0 => "0".to_owned(),
            value if value >= 1e6 => format!("{:.0}M", value / 1e6),
            value if value >= 10.0 => format!("{value:.0}"),
            value if value >= 1.0 => format!("{value:.1}"),
            value if value >= 0.1 => format!("{value:.2}"),
            value => format!("{value:.3}"),
        }
    }
}
