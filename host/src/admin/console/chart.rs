//! Pictures of figures over time: columns, one on the other, as SVG that stands in the page.
//!
//! Colours come from the stylesheet, so that they follow light and dark. A picture says in words what it shows, and the
//! figures stand in a table beside it, for who cannot see it.

use maud::{Markup, html};

/// The picture is drawn in units of its own and fills the width that there is.
const WIDTH: f64 = 800.0;
const HEIGHT: f64 = 240.0;
/// Room for the numbers on the left and for the times below.
const LEFT: f64 = 52.0;
const BELOW: f64 = 26.0;
const ABOVE: f64 = 8.0;
/// Times that are written below, at most.
const LABELS_MAX: usize = 7;

/// One of the colours, and what it stands for.
pub(super) struct Series {
    /// Its class in the stylesheet.
    pub(super) class: &'static str,
    pub(super) name: String,
}

/// One column.
pub(super) struct Column {
    /// The time, as it is written below.
    pub(super) label: String,
    /// A figure for each series, from the bottom up.
    pub(super) figures: Vec<u64>,
}

/// A picture of these columns; `title` says what they show.
pub(super) fn columns(title: &str, series: &[Series], columns: &[Column]) -> Markup {
    let sums = columns.iter().map(|column| column.figures.iter().sum());
    let top = round_up(sums.max().unwrap_or(0));
    let (inner_width, inner_height) = (WIDTH - LEFT, HEIGHT - BELOW - ABOVE);
    let step = inner_width / (columns.len().max(1) as f64);
    let gap = if step > 6.0 { 1.5 } else { 0.0 };
    let height = |figure: u64| inner_height * figure as f64 / top as f64;
    let every = columns.len().div_ceil(LABELS_MAX).max(1);
    let lines = [0, top / 2, top];
    html! {
        figure.chart {
            svg viewBox=(format!("0 0 {WIDTH} {HEIGHT}")) role="img" aria-label=(title) preserveAspectRatio="none" {
                @for line in lines {
                    @let y = ABOVE + inner_height - height(line);
                    line.grid x1=(LEFT) x2=(WIDTH) y1=(number(y)) y2=(number(y)) {}
                    text x=(LEFT - 6.0) y=(number(y + 4.0)) text-anchor="end" { (short(line)) }
                }
                @for (index, column) in columns.iter().enumerate() {
                    @let x = LEFT + step * index as f64;
                    g {
                        title { (told(series, column)) }
                        @for (series, from, figure) in stacked(series, column) {
                            rect class=(series.class) x=(number(x + gap / 2.0)) width=(number((step - gap).max(0.5)))
                                y=(number(ABOVE + inner_height - height(from + figure))) height=(number(height(figure))) {}
                        }
                    }
                    @if index % every == 0 {
                        text x=(number(x + step / 2.0)) y=(HEIGHT - 8.0) text-anchor="middle" { (column.label) }
                    }
                }
            }
            figcaption {
                @for series in series { span.key { span.swatch.(series.class) {} (series.name) } " " }
            }
        }
    }
}

/// What stands on what in a column: each part with what is below it. Nothing is drawn of nothing.
fn stacked<'a>(
    series: &'a [Series],
    column: &'a Column,
) -> impl Iterator<Item = (&'a Series, u64, u64)> {
    let mut below = 0;
    series
        .iter()
        .zip(&column.figures)
        .filter_map(move |(series, figure)| {
            let from = below;
            below += figure;
            (*figure > 0).then_some((series, from, *figure))
        })
}

/// A column in words.
fn told(series: &[Series], column: &Column) -> String {
    let figures = series.iter().zip(&column.figures);
    let figures: Vec<_> = figures
        .map(|(series, figure)| format!("{} {figure}", series.name))
        .collect();
    format!("{}: {}", column.label, figures.join(", "))
}

/// A number of the picture, no more exact than a screen shows.
fn number(value: f64) -> String {
    format!("{value:.1}")
}

/// The next number that is easy to read on an axis: 1, 2, 4, 6, 8 or 10 of a power of ten.
fn round_up(figure: u64) -> u64 {
    let mut unit: u64 = 1;
    while figure > unit.saturating_mul(10) {
        unit = unit.saturating_mul(10);
    }
    let steps = [2, 4, 6, 8, 10].map(|step| unit.saturating_mul(step));
    steps
        .into_iter()
        .find(|step| *step >= figure)
        .unwrap_or(figure)
}

/// A figure in few characters: 1.2k, 3M.
pub(super) fn short(figure: u64) -> String {
    let (scaled, unit) = match figure {
        0..1_000 => return figure.to_string(),
        1_000..1_000_000 => (figure as f64 / 1e3, "k"),
        1_000_000..1_000_000_000 => (figure as f64 / 1e6, "M"),
        _ => (figure as f64 / 1e9, "G"),
    };
    let text = format!("{scaled:.1}");
    format!("{}{unit}", text.strip_suffix(".0").unwrap_or(&text))
}

#[cfg(test)]
mod tests {
    use super::*;

    fn series() -> [Series; 2] {
        [("a", "sent"), ("b", "<refused>")].map(|(class, name)| Series {
            class,
            name: name.to_owned(),
        })
    }

    fn column(figures: [u64; 2]) -> Column {
        Column {
            label: "08:00".to_owned(),
            figures: figures.to_vec(),
        }
    }

    #[test]
    fn parts_stand_on_one_another_and_nothing_is_drawn_of_nothing() {
        let series = series();
        let column = column([3, 0]);
        let parts: Vec<_> = stacked(&series, &column)
            .map(|(series, from, figure)| (series.class, from, figure))
            .collect();
        assert_eq!(parts, [("a", 0, 3)]);
        let drawn = columns("mail", &series, &[column, self::column([1, 4])]).into_string();
        assert_eq!(drawn.matches("<rect").count(), 3);
        assert!(
            drawn.contains("08:00: sent 1, &lt;refused&gt; 4"),
            "{drawn}"
        );
    }

    #[test]
    fn an_empty_picture_is_one() {
        let drawn = columns("mail", &series(), &[]).into_string();
        assert!(drawn.contains("<svg") && !drawn.contains("NaN"), "{drawn}");
        let drawn = columns("mail", &series(), &[column([0, 0])]).into_string();
        assert!(!drawn.contains("NaN") && !drawn.contains("inf"), "{drawn}");
    }

    #[test]
    fn an_axis_ends_at_a_number_that_is_easy_to_read() {
        for (figure, top) in [
            (0, 2),
            (1, 2),
            (3, 4),
            (9, 10),
            (11, 20),
            (99, 100),
            (101, 200),
            (6_001, 8_000),
        ] {
            assert_eq!(round_up(figure), top, "{figure}");
        }
        assert!(round_up(u64::MAX) > 0);
        for (figure, text) in [
            (999, "999"),
            (1_000, "1k"),
            (1_250, "1.2k"),
            (3_000_000, "3M"),
        ] {
            assert_eq!(short(figure), text);
        }
    }
}
