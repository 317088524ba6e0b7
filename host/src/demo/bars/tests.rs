//! Pictures as a terminal shows them, of scenes that are made by hand.

#![allow(clippy::unwrap_used)]

use std::time::Duration;

use vt100::Parser;

use super::*;
use crate::demo::figures::tests::of_a_story;
use crate::demo::plan::Plan;
use crate::demo::scene::tests::{id, plan};

fn scene(plan: &Plan, states: [State; 3]) -> Scene<'_> {
    let rows = states.iter().zip(&plan.letters).map(|(state, letter)| Row {
        letter,
        octets: letter.octets(),
        arrived: match state {
            State::Arrived => letter.octets(),
            State::Going | State::Paused(_) => letter.octets() / 2,
            State::Unsubmitted | State::Submitted => 0,
        },
        rate: 123_456,
        state: *state,
    });
    Scene {
        at: Duration::from_millis(3_210),
        phase: Phase::Passing,
        reset: Some(id(7)),
        rows: rows.collect(),
    }
}

fn before(plan: &Plan) -> Scene<'_> {
    scene(plan, [State::Unsubmitted, State::Going, State::Submitted])
}

fn passing(plan: &Plan) -> Scene<'_> {
    scene(plan, [State::Going, State::Paused(id(7)), State::Arrived])
}

/// A terminal with something on it already.
fn terminal(columns: u16, rows: u16) -> Parser {
    let mut terminal = Parser::new(rows, columns, 0);
    terminal.process(b"$ outpost demo\r\n");
    terminal
}

fn draw(bars: &mut Bars, scene: &Scene<'_>, terminal: &mut Parser) {
    let (rows, columns) = terminal.screen().size();
    let mut out = Vec::new();
    bars.show(scene, (columns, rows), &mut out).unwrap();
    terminal.process(&out);
}

fn shown(terminal: &Parser) -> Vec<String> {
    let text = terminal.screen().contents();
    text.lines()
        .map(|line| line.trim_end().to_owned())
        .collect()
}

#[test]
fn a_scene_is_drawn_over_the_one_before() {
    let plan = plan();
    let mut terminal = terminal(110, 20);
    let mut bars = Bars::new(true);
    draw(&mut bars, &before(&plan), &mut terminal);
    draw(&mut bars, &passing(&plan), &mut terminal);
    let half = format!("{}{}", "█".repeat(18), "·".repeat(18));
    let id = id(7);
    assert_eq!(
        shown(&terminal),
        [
            "$ outpost demo".to_owned(),
            format!("password reset very high {half}   50 %  1.0 MB of 2.0 MB  123 kB/s"),
            format!("newsletter 1   normal    {half}   50 %  paused for {id}"),
            format!(
                "newsletter 2   low       {}  100 %  1.0 MB arrived",
                "█".repeat(36)
            ),
            String::new(),
            format!(" 3.2 s  A password reset comes, {id}: all others stop."),
        ]
    );
    assert_eq!(
        terminal.screen().cursor_position(),
        (6, 0),
        "below the picture"
    );
}

#[test]
fn a_terminal_is_left_as_it_was() {
    let plan = plan();
    let mut terminal = terminal(80, 20);
    let mut bars = Bars::new(true);
    for scene in [before(&plan), passing(&plan)] {
        draw(&mut bars, &scene, &mut terminal);
        let screen = terminal.screen();
        assert!(!screen.hide_cursor() && !screen.alternate_screen());
        assert_eq!(screen.fgcolor(), vt100::Color::Default);
        assert!(!screen.bold() && !screen.dim());
    }
}

#[test]
fn classes_and_pauses_have_colours_and_words() {
    let plan = plan();
    let mut terminal = terminal(80, 20);
    draw(&mut Bars::new(true), &passing(&plan), &mut terminal);
    let screen = terminal.screen();
    let at = |row: u16, word: &str| {
        let line = screen.rows(0, 80).nth(row.into()).unwrap();
        let column = line[..line.find(word).unwrap()].chars().count();
        let cell = screen.cell(row, u16::try_from(column).unwrap()).unwrap();
        (cell.fgcolor(), cell.bold())
    };
    let indexed = |color: Color| match color {
        Color::Red => vt100::Color::Idx(9),
        Color::Green => vt100::Color::Idx(10),
        _ => vt100::Color::Idx(11),
    };
    assert_eq!(at(1, "very high"), (indexed(Color::Red), true));
    assert_eq!(at(2, "normal"), (indexed(Color::Green), false));
    assert_eq!(at(2, "paused for"), (indexed(Color::Yellow), true));
}

#[test]
fn whatever_its_size_a_terminal_shows_no_line_twice_and_scrolls_by_nothing() {
    let plan = plan();
    for columns in [
        1, 2, 10, 20, 30, 47, 48, 49, 60, 72, 73, 80, 100, 101, 111, 200,
    ] {
        for rows in [1, 2, 3, 4, 5, 6, 24] {
            let mut terminal = Parser::new(rows, columns, 100);
            let mut bars = Bars::new(false);
            for scene in [before(&plan), passing(&plan), before(&plan), passing(&plan)] {
                draw(&mut bars, &scene, &mut terminal);
            }
            terminal.screen_mut().set_scrollback(usize::MAX);
            assert_eq!(terminal.screen().scrollback(), 0, "{columns}x{rows}");
            let shown = shown(&terminal);
            let resets = shown.iter().filter(|line| line.starts_with("password r"));
            let wanted = usize::from(columns > 10 && rows > 1);
            assert_eq!(resets.count(), wanted, "{columns}x{rows}: {shown:#?}");
            if columns >= 30 && rows > 3 {
                assert!(shown[1].contains("paused"), "{columns}x{rows}: {shown:#?}");
            }
        }
    }
}

#[test]
fn a_terminal_that_becomes_narrower_or_wider_has_the_picture_once() {
    let plan = plan();
    for (from, to) in [(110, 60), (60, 110), (120, 115), (80, 20)] {
        let mut bars = Bars::new(false);
        let mut out = Vec::new();
        bars.show(&before(&plan), (from, 24), &mut out).unwrap();
        // As a terminal that breaks lines anew has them: each line takes as many rows as it needs.
        let mut terminal = Parser::new(24, to, 0);
        terminal.process(b"$ outpost demo\r\n");
        terminal.process(&out);
        draw(&mut bars, &passing(&plan), &mut terminal);
        let shown = shown(&terminal);
        assert_eq!(
            shown[0].trim_end(),
            "$ outpost demo",
            "{from} to {to}: {shown:#?}"
        );
        let resets = shown
            .iter()
            .filter(|line| line.starts_with("password reset"));
        assert_eq!(resets.count(), 1, "{from} to {to}: {shown:#?}");
        assert!(
            !shown.iter().any(|line| line.contains("not yet")),
            "{shown:#?}"
        );
    }
}

#[test]
fn rates_are_as_wide_as_one_another() {
    for (octets, text) in [
        (0, "0.0 kB/s"),
        (600, "0.6 kB/s"),
        (9_949, "9.9 kB/s"),
        (9_950, " 10 kB/s"),
        (282_000, "282 kB/s"),
        (1_000_000, "1.0 MB/s"),
    ] {
        assert_eq!(rate_text(octets), text);
    }
}

#[test]
fn bars_are_as_long_as_what_has_arrived() {
    for (part, whole, unicode, filled, empty) in [
        (0, 8, true, "", "····"),
        (1, 32, true, "▏", "···"),
        (4, 8, true, "██", "··"),
        (9, 16, true, "██▎", "·"),
        (8, 8, true, "████", ""),
        (9, 8, true, "████", ""),
        (0, 0, true, "", "····"),
        (4, 8, false, "##", ".."),
    ] {
        let bar = Bars::new(unicode).bar(part, whole, 4);
        assert_eq!(bar, (filled.to_owned(), empty.to_owned()), "{part}/{whole}");
    }
}

#[test]
fn what_happens_is_told_to_its_end_on_forty_columns_and_on_more() {
    let plan = plan();
    for columns in [40, 48, 60, 61, 72, 76, 77, 110] {
        for (phase, reset, words) in [
            (Phase::Before, None, "under way."),
            (Phase::Passing, None, "is submitted."),
            (Phase::Passing, Some(id(7)), "others stop."),
            (Phase::After, Some(id(7)), "go on"),
            (Phase::Done, Some(id(7)), "has arrived."),
        ] {
            let mut scene = passing(&plan);
            (scene.phase, scene.reset) = (phase, reset);
            let mut terminal = terminal(columns, 20);
            draw(&mut Bars::new(true), &scene, &mut terminal);
            let shown = shown(&terminal);
            let said = shown.last().unwrap();
            assert!(
                said.contains(words) && said.ends_with('.'),
                "{columns}: {said}"
            );
            assert!(shown[2].contains("paused"), "{columns}: {shown:#?}");
        }
    }
}

#[test]
fn what_came_of_it_is_never_broken_inside_a_word() {
    let figures = of_a_story();
    let whole = |columns| {
        let mut out = Vec::new();
        Bars::new(true)
            .figures(&figures, columns, &mut out)
            .unwrap();
        String::from_utf8(out).unwrap()
    };
    for columns in [40, 60, 73, 74, 110] {
        let mut terminal = Parser::new(60, columns, 0);
        terminal.process(whole(columns).replace('\n', "\r\n").as_bytes());
        let screen = terminal.screen();
        assert!(
            (0..60).all(|row| !screen.row_wrapped(row)),
            "{columns}: {}",
            screen.contents()
        );
        let words = screen.contents();
        let is_torn =
            |line: &str| ["%", "ms", "s"].contains(&line.split([',', ' ']).next().unwrap());
        let torn = words
            .lines()
            .map(str::trim_start)
            .find(|line| is_torn(line));
        assert_eq!(torn, None, "a number without its unit: {columns}");
        let words: Vec<_> = words.split_whitespace().collect();
        let text = words.join(" ");
        for told in [
            "password reset 3.0 ms from acceptance to MAIL, 2.00 s to the last reply",
            "✓ they went on 4.0 ms after its last reply, the last in turn 50 ms after it",
            "✓ each arrived once, on one connection from its first octet to its last",
        ] {
            assert!(text.contains(told), "{columns}: {text}");
        }
        let row = match columns {
            ..74 => {
                "newsletter 1: stopped after 8.0 ms at 22 %, paused for 2.03 s, trickled 600 octets, \
                 went on after 50 ms"
            }
            _ => "newsletter 1 8.0 ms 22 % 2.03 s 600 octets 50 ms",
        };
        assert!(text.contains(row), "{columns}: {text}");
    }
}
