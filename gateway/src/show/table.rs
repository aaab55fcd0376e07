//! Tables without lines: titles, two spaces between columns, the least important columns first to go.

use comfy_table::{CellAlignment, ContentArrangement, Table, presets};

use super::look::Look;

/// A column.
#[derive(Clone, Copy, Debug)]
pub(super) struct Column {
    title: &'static str,
    right: bool,
    /// 0 stays; of the others those with the highest go first.
    rank: u8,
}

/// A column of text that always stays.
pub(super) const fn text(title: &'static str) -> Column {
    Column { title, right: false, rank: 0 }
}

/// A column of numbers that always stays.
pub(super) const fn number(title: &'static str) -> Column {
    Column { title, right: true, rank: 0 }
}

impl Column {
    /// Goes when there is no room; the highest rank first.
    pub(super) const fn rank(self, rank: u8) -> Self {
        Self { rank, ..self }
    }
}

/// A table with `rows`, painted; an empty one is a remark in words.
pub(super) fn table(look: &Look, columns: &[Column], rows: &[Vec<String>], none: &str) -> String {
    if rows.is_empty() {
        return format!("{none}\n");
    }
    let kept = kept(columns, rows, look.width);
    let pick =
        |row: &[String]| kept.iter().map(|&at| row.get(at).cloned().unwrap_or_default()).collect::<Vec<_>>();
    let titles: Vec<_> = columns.iter().map(|column| column.title.to_owned()).collect();
    let mut table = Table::new();
    table.load_style(presets::NOTHING).set_header(pick(&titles));
    table.add_rows(rows.iter().map(|row| pick(row)));
    match look.width.and_then(|width| u16::try_from(width).ok()) {
        Some(width) => table.set_content_arrangement(ContentArrangement::Dynamic).set_width(width),
        None => table.set_content_arrangement(ContentArrangement::Disabled),
    };
    for (place, &at) in kept.iter().enumerate() {
        let right = columns.get(at).is_some_and(|column| column.right);
        if let Some(column) = table.column_mut(place) {
            column.set_padding(if place == 0 { (0, 0) } else { (2, 0) });
            column.set_cell_alignment(if right { CellAlignment::Right } else { CellAlignment::Left });
        }
    }
    let lines: Vec<_> = table.lines().map(|line| line.trim_end().to_owned()).collect();
    look.paint(&(lines.join("\n") + "\n"))
}

/// Places of the columns for which there is room.
fn kept(columns: &[Column], rows: &[Vec<String>], width: Option<usize>) -> Vec<usize> {
    let widest = |at: usize, column: &Column| {
        let cells = rows.iter().filter_map(|row| row.get(at)).map(|cell| cell.chars().count());
        cells.max().unwrap_or(0).max(column.title.len())
    };
    let widths: Vec<_> = columns.iter().enumerate().map(|(at, column)| widest(at, column)).collect();
    let mut kept: Vec<usize> = (0..columns.len()).collect();
    let room = width.unwrap_or(usize::MAX);
    loop {
        let needed: usize = kept.iter().filter_map(|&at| widths.get(at)).map(|width| width + 2).sum();
        let rank = |at: usize| columns.get(at).map_or(0, |column| column.rank);
        let highest = kept.iter().map(|&at| rank(at)).max().unwrap_or(0);
        if needed.saturating_sub(2) <= room || highest == 0 {
            return kept;
        }
        // Columns of one rank belong together.
        kept.retain(|&at| rank(at) != highest);
    }
}
