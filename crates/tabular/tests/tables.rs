//! Files as they come, and what becomes of them.
#![allow(
    clippy::unwrap_used,
    clippy::too_many_lines,
    clippy::panic,
    clippy::indexing_slicing,
    reason = "a test may panic"
)]

use std::io::{Cursor, Write};

use custody_tabular::{
    Columns, Csv, Declared, Recognised, Survey, TabularError, recognise, survey, unify,
    write_parquet,
};
use parquet::file::reader::{FileReader, SerializedFileReader};

struct Made {
    survey: Survey,
    parquet: Vec<u8>,
}

fn declared(csv: &str, columns: &str) -> Declared {
    let csv: Csv = serde_saphyr::from_str(csv).unwrap();
    let columns: Columns = serde_saphyr::from_str(columns).unwrap();
    Declared {
        format: None,
        csv,
        columns,
    }
}

fn make(name: &str, content: &[u8], declared: &Declared) -> Result<Made, TabularError> {
    let mut file = Cursor::new(content.to_vec());
    let Recognised::Table { table, packing } = recognise(name, &mut file, declared.format)? else {
        panic!("`{name}` is no table");
    };
    let survey = survey(&mut file, table, packing, declared)?;
    let mut parquet = Vec::new();
    let written = write_parquet(&mut file, &survey, &mut parquet)?;
    if let Some(rows) = survey.rows {
        assert_eq!(written.rows, rows);
    }
    Ok(Made { survey, parquet })
}

/// Returns the columns and then the rows of a table, or what is refused.
fn told(name: &str, content: &[u8], declared: &Declared) -> String {
    match make(name, content, declared) {
        Ok(made) => format!("{}\n{}", made.survey.columns, rows(&made.parquet)),
        Err(TabularError::Refused(refusal)) => match &refusal.data {
            Some(data) => format!("{refusal} <{data}>"),
            None => refusal.to_string(),
        },
        Err(other) => panic!("{other}"),
    }
}

fn rows(parquet: &[u8]) -> String {
    let reader = SerializedFileReader::new(bytes::Bytes::copy_from_slice(parquet)).unwrap();
    assert_eq!(
        reader.metadata().file_metadata().created_by(),
        Some("custody")
    );
    let rows = reader.get_row_iter(None).unwrap();
    let rows = rows.map(|row| {
        let row = row.unwrap();
        let values = row
            .get_column_iter()
            .map(|(_, value)| value.to_string().trim_end_matches('.').to_owned());
        values.collect::<Vec<_>>().join("|")
    });
    rows.collect::<Vec<_>>().join("\n")
}

const PLAIN: (&str, &str) = ("{}", "{}");

const fn csv(options: &'static str) -> (&'static str, &'static str) {
    (options, "{}")
}

const fn columns(columns: &'static str) -> (&'static str, &'static str) {
    ("{}", columns)
}

#[test]
fn text_is_read_as_it_is_meant() {
    for (content, (csv, columns), expected) in [
        (
            "id,name\n1,Ann\n2,Bo\n",
            PLAIN,
            "{id: integer, name: text}\n1|\"Ann\"\n2|\"Bo\"",
        ),
        (
            "id,name\r\n1,Ann\r\n2,Bo",
            PLAIN,
            "{id: integer, name: text}\n1|\"Ann\"\n2|\"Bo\"",
        ),
        (
            "id,name\r1,Ann\r2,Bo\r",
            PLAIN,
            "{id: integer, name: text}\n1|\"Ann\"\n2|\"Bo\"",
        ),
        (
            "\u{feff}id;x\n1;2\n",
            PLAIN,
            "{id: integer, x: integer}\n1|2",
        ),
        (
            "id\tx\n1\t2,5\n",
            PLAIN,
            "{id: integer, x: text}\n1|\"2,5\"",
        ),
        (
            "id,x\n1,\"a\nb\"\n2,\"say \"\"no\"\"\"\n",
            PLAIN,
            "{id: integer, x: text}\n1|\"a\nb\"\n2|\"say \"no\"\"",
        ),
        (
            "id,x\n1,\n2,\"\"\n",
            PLAIN,
            "{id: integer, x: text}\n1|null\n2|\"\"",
        ),
        (
            "id,x\n1,\n2,\"\"\n",
            csv("{quoted_nulls: true}"),
            "{id: integer, x: text}\n1|null\n2|null",
        ),
        (
            "id,x\n1,5' 6\"\n",
            PLAIN,
            "{id: integer, x: text}\n1|\"5' 6\"\"",
        ),
        (
            "id,x\n1,NA\n2,3\n",
            csv("{nulls: [NA]}"),
            "{id: integer, x: integer}\n1|null\n2|3",
        ),
        ("id,x\n1,2\n\n\n", PLAIN, "{id: integer, x: integer}\n1|2"),
        ("x\n1\n2\n", PLAIN, "{x: integer}\n1\n2"),
        (
            "id, x\n1, 2\n",
            csv("{trim: true}"),
            "{id: integer, x: integer}\n1|2",
        ),
        (
            "id;x\n1;1.234,5\n",
            csv("{decimal: ',', thousands: '.', delimiter: ;}"),
            "{id: integer, x: double}\n1|1234.5",
        ),
        (
            "# a \"note\n1,x\n# b\n2,y\n",
            csv("{comment: '#', header: false}"),
            "{column_1: integer, column_2: text}\n1|\"x\"\n2|\"y\"",
        ),
        (
            "1,x\n2,y\n",
            csv("{names: [id, b]}"),
            "{id: integer, b: text}\n1|\"x\"\n2|\"y\"",
        ),
        (
            ",x\n0,5\n",
            csv("{header: true, names: [row, x]}"),
            "{row: integer, x: integer}\n0|5",
        ),
        (
            "id,x\n1,\"a\\\"b\"\n",
            csv("{escape: '\\'}"),
            "{id: integer, x: text}\n1|\"a\"b\"",
        ),
        (
            "id,x\n1,\"a\n",
            csv("{quote: ''}"),
            "{id: integer, x: text}\n1|\"\"a\"",
        ),
        (
            "id,zip\n1,007\n",
            PLAIN,
            "{id: integer, zip: text}\n1|\"007\"",
        ),
        (
            "id,x\n1,9223372036854775808\n",
            PLAIN,
            "{id: integer, x: \"decimal(19,0)\"}\n1|9223372036854775808",
        ),
        (
            "d,t\n2020-02-29,2020-02-29T10:00:00+02:00\n",
            PLAIN,
            "{d: date, t: timestamp with time zone}\n2020-02-29|2020-02-29 08:00:00.000000 +00:00",
        ),
        (
            "d,x\n29.02.2020,a\n",
            csv("{dates: ['%d.%m.%Y']}"),
            "{d: {type: date, format: \"%d.%m.%Y\"}, x: text}\n2020-02-29|\"a\"",
        ),
        (
            "d,x\n29.02.2020,a\n",
            columns("{d: {type: date, format: '%d.%m.%Y'}}"),
            "{d: {type: date, format: \"%d.%m.%Y\"}, x: text}\n2020-02-29|\"a\"",
        ),
        (
            "id,x\n1,2.50\n",
            columns("{x: 'decimal(10,2)'}"),
            "{id: integer, x: \"decimal(10,2)\"}\n1|2.50",
        ),
        ("a,b\n", csv("{header: true}"), "{a: text, b: text}\n"),
        (
            "x\n1\n\n2\n",
            csv("{blank_lines: row}"),
            "{x: integer}\n1\nnull\n2",
        ),
        (
            "x,y\n1,2\n\n3,4\n",
            csv("{blank_lines: skip}"),
            "{x: integer, y: integer}\n1|2\n3|4",
        ),
        // What is not sure is refused.
        (
            "1,2\n3,4\n",
            PLAIN,
            "the first row could be names or data: its field 1 is no plain word",
        ),
        (
            "country,2019,2020\na,1,2\n",
            PLAIN,
            "the first row could be names or data: its field 2 is no plain word",
        ),
        (
            "yes,no\nno,no\n",
            PLAIN,
            "the first row could be names or data: every column is text, and words of the first row stand below it too",
        ),
        (
            "a,b\n",
            PLAIN,
            "there is one row only, which could be names or data",
        ),
        (
            "a,b;c\n1,2;3\n",
            PLAIN,
            "its fields could be divided by a comma or by a semicolon",
        ),
        (",x\n0,5\n", PLAIN, "column 1 has no name in the first row"),
        ("a,a\n1,2\n", PLAIN, "the column `a` stands twice"),
        (
            "a,b\n1,2\n3\n",
            PLAIN,
            "line 3: the row has 1 field where there are 2 columns",
        ),
        (
            "a,b\n1,\"x\ny\"\n1,2,3\n",
            PLAIN,
            "line 4: the row has 3 fields where there are 2 columns",
        ),
        (
            "a,b\n1,\"x\n",
            PLAIN,
            "line 2: a quote is opened here and never closed",
        ),
        (
            "a,b\n1,\"x\"y\n",
            PLAIN,
            "line 2: something stands between the closing quote and the end of the field",
        ),
        (
            "a,b\n1,x\ry\n",
            PLAIN,
            "line 2: a carriage return without a line feed, in a file whose lines end with line feeds",
        ),
        (
            "a,b\n1,2\n\n3,4\n",
            PLAIN,
            "line 3: a blank line between rows",
        ),
        ("x\n1\n\n2\n", PLAIN, "line 3: a blank line between rows"),
        ("\n\n", PLAIN, "there is nothing in it"),
        (
            "a,b\n1,x\0y\n",
            PLAIN,
            "line 2, character 4: a byte with the value 0: it is no text, or has another encoding",
        ),
        // What does not fit what is declared.
        (
            "id,x\n1,2\n2,x\n3,y\n",
            columns("{x: integer}"),
            "line 3, column `x`: a value that is no `integer` <x>",
        ),
        (
            "id,x\n1,007\n",
            columns("{x: integer}"),
            "line 2, column `x`: a number with zeros in front is no `integer`: it would lose them <007>",
        ),
        (
            "id,x\n1,9223372036854775808\n",
            columns("{x: integer}"),
            "line 2, column `x`: a whole number beyond 64 bits is no `integer` <9223372036854775808>",
        ),
        (
            "id,x\n1, 2\n",
            columns("{x: integer}"),
            "line 2, column `x`: blanks stand around a value that should be `integer` < 2>",
        ),
        (
            "id,x\n1,\"\"\n",
            columns("{x: integer}"),
            "line 2, column `x`: the quoted empty field is the empty text, not null <>",
        ),
        (
            "id,x\n1,2.505\n",
            columns("{x: 'decimal(10,2)'}"),
            "line 2, column `x`: a number with more digits than `decimal(10,2)` has <2.505>",
        ),
        (
            "id,x\n1,2020-02-30\n",
            columns("{x: date}"),
            "line 2, column `x`: a value that is no `date` <2020-02-30>",
        ),
        (
            "id,x\n1,2020-01-01T00:00\n",
            columns("{x: timestamp with time zone}"),
            "line 2, column `x`: a value that is no `timestamp with time zone` <2020-01-01T00:00>",
        ),
        (
            "id,x\n1,2\n",
            columns("{y: integer}"),
            "the declared column `y` is not in it",
        ),
        (
            "id,x\n1,2\n",
            csv("{delimiter: ab}"),
            "`delimiter` must be one ASCII character that is no letter and no digit",
        ),
        (
            "id,x\n1,2\n",
            csv("{encoding: klingon}"),
            "`klingon` is no encoding that is known here",
        ),
        (
            "id,x\n1,2\n",
            csv("{names: [a]}"),
            "1 names are declared, and the first row has 2 fields",
        ),
    ] {
        let found = told("a.csv", content.as_bytes(), &declared(csv, columns));
        assert_eq!(found, expected, "{content:?}");
    }
}

#[test]
fn bytes_are_text_of_their_encoding_or_refused() {
    let wide = |text: &str, big: bool| {
        let units = text.encode_utf16();
        let bytes = units.flat_map(|unit| {
            if big {
                unit.to_be_bytes()
            } else {
                unit.to_le_bytes()
            }
        });
        bytes.collect::<Vec<u8>>()
    };
    let text = "id,x\n1,Zürich €\n";
    let good = "{id: integer, x: text}\n1|\"Zürich €\"";
    let marked = |text: &str, big| wide(&format!("\u{feff}{text}"), big);
    for (content, encoding, expected) in [
        (text.as_bytes().to_vec(), "", good),
        (marked(text, false), "", good),
        (marked(text, true), "", good),
        (marked(text, true), "utf-16", good),
        (wide(text, false), "utf-16le", good),
        (wide(text, true), "utf-16be", good),
        (b"id,x\n1,Z\xfcrich \x80\n".to_vec(), "windows-1252", good),
        (b"id,x\n1,Z\xfcrich \xa4\n".to_vec(), "iso-8859-15", good),
        (
            b"id,x\n1,\x83\x65\x83\x58\n".to_vec(),
            "shift_jis",
            "{id: integer, x: text}\n1|\"テス\"",
        ),
        (
            b"id,x\n1,\x80\n".to_vec(),
            "latin1",
            "{id: integer, x: text}\n1|\"\u{80}\"",
        ),
        (
            b"id,x\n1,Z\xfcrich\n".to_vec(),
            "",
            "line 2, character 4: bytes that are no utf-8 text",
        ),
        (
            b"id,x\n1,Z\xc3\xbcrich\n".to_vec(),
            "ascii",
            "line 2, character 4: bytes that are no ascii text",
        ),
        (
            b"id,x\n1,a\x81b\n".to_vec(),
            "windows-1252",
            "line 2, character 4: bytes that are no windows-1252 text",
        ),
        (
            b"id,x\n1,ab\xfc\n".to_vec(),
            "shift_jis",
            "line 2, character 5: bytes that are no shift_jis text",
        ),
        (
            wide(text, false),
            "",
            "line 1, character 2: a byte with the value 0: it is no text, or has another encoding",
        ),
        (
            wide(text, false),
            "utf-16",
            "it has no mark that says which order its bytes have",
        ),
        (
            marked(text, true),
            "utf-16le",
            "declared to be utf-16le, but it begins with the mark of utf-16be",
        ),
        (
            b"\xff\xfe\0\0i\0\0\0".to_vec(),
            "",
            "it is UTF-32, which is not read",
        ),
        (
            text.as_bytes().to_vec(),
            "iso-8859-9",
            "`iso-8859-9` is read only as `windows-1254`, which differs in 32 bytes",
        ),
    ] {
        let csv = match encoding {
            "" => "{}".to_owned(),
            encoding => format!("{{encoding: {encoding}}}"),
        };
        let found = told("a.csv", &content, &declared(&csv, "{}"));
        assert_eq!(found, expected, "{encoding} {content:?}");
    }
}

#[test]
fn json_lines_are_exact() {
    for (content, columns, expected) in [
        (
            "{\"a\":1,\"b\":\"x\"}\n{\"b\":null,\"a\":-2}\n",
            "{}",
            "{a: integer, b: text}\n1|\"x\"\n-2|null",
        ),
        (
            "{\"a\":9007199254740993}\n",
            "{}",
            "{a: integer}\n9007199254740993",
        ),
        (
            "{\"a\":18446744073709551615}\n",
            "{}",
            "{a: \"decimal(20,0)\"}\n18446744073709551615",
        ),
        (
            "{\"a\":1}\n\n{\"b\":true}\n",
            "{}",
            "{a: integer, b: boolean}\n1|null\nnull|true",
        ),
        (
            "{\"a\":[1,null,3]}\n{\"a\":[]}\n{}\n",
            "{}",
            "{a: list(integer)}\n[1, null, 3]\n[]\nnull",
        ),
        (
            "{\"a\":{\"b\":1.5,\"c\":\"x\"}}\n{\"a\":{\"c\":\"y\",\"d\":2}}\n",
            "{}",
            "{a: \"struct(b double, c text, d integer)\"}\n{b: 1.5, c: \"x\", d: null}\n{b: null, c: \"y\", d: 2}",
        ),
        ("{\"a\":\"2020-01-01\"}\n", "{}", "{a: date}\n2020-01-01"),
        ("{\"a\":\"1\"}\n", "{}", "{a: text}\n\"1\""),
        ("{\"a\":\"\\u00fc\\n\"}\r\n", "{}", "{a: text}\n\"ü\n\""),
        (
            "{\"a\":1.50}\n{\"a\":\"x\"}\n",
            "{a: text}",
            "{a: text}\n\"1.50\"\n\"x\"",
        ),
        (
            "{\"a\":1}\n{\"a\":\"x\"}\n",
            "{}",
            "the column `a` holds numbers (line 1) and text (line 2)",
        ),
        (
            "{\"a\":1}\n{\"a\":true}\n",
            "{}",
            "the column `a` holds true or false (line 2) and numbers (line 1)",
        ),
        (
            "{\"a\":1}\n{\"a\":2,\"a\":3}\n",
            "{}",
            "line 2: the key `a` stands twice in one object",
        ),
        (
            "{\"a\":{\"b\":1,\"b\":2}}\n",
            "{}",
            "line 1: the key `b` stands twice in one object",
        ),
        (
            "[1]\n",
            "{}",
            "line 1: it is no object: each line must be one, `{\"name\": value}`",
        ),
        (
            "{\"a\":1}\n{\"a\":1,}\n",
            "{}",
            "line 2, character 8: it is no JSON",
        ),
        (
            "{\"a\":1}{\"a\":2}\n",
            "{}",
            "line 1, character 8: it is no JSON",
        ),
        ("{\"a\":01}\n", "{}", "line 1, character 7: it is no JSON"),
        ("{\"a\":NaN}\n", "{}", "line 1, character 6: it is no JSON"),
        (
            "{\"a\":{}}\n",
            "{}",
            "the column `a` holds empty objects only (line 1)",
        ),
        (
            "{\"a\":1}\n{\"a\":2.5}\n",
            "{a: integer}",
            "line 2: column `a`: a value that is no `integer` <2.5>",
        ),
        (
            "{\"a\":1}\n{\"a\":\"2\"}\n",
            "{a: integer}",
            "line 2: column `a`: text where `integer` is declared <2>",
        ),
        ("\n\n", "{}", "there is no line in it"),
        ("{}\n", "{}", "its objects have no key"),
    ] {
        let found = told("a.jsonl", content.as_bytes(), &declared("{}", columns));
        assert_eq!(found, expected, "{content}");
    }
    let lone = told("a.jsonl", b"{\"a\":\"\\ud800\"}\n", &declared("{}", "{}"));
    assert!(lone.ends_with("it is no JSON"), "{lone}");
    let deep = format!("{{\"a\":{}1{}}}\n", "[".repeat(40), "]".repeat(40));
    let deep = told("a.jsonl", deep.as_bytes(), &declared("{}", "{}"));
    assert_eq!(deep, "line 1: lists and objects are nested deeper than 32");
}

#[test]
fn several_files_of_a_table_have_one_type_for_each_column() {
    let plain = Declared::default();
    let mut surveys = Vec::new();
    let mut files =
        ["id,x\n1,2\n", "id,x\n2,2.5\n"].map(|text| Cursor::new(text.as_bytes().to_vec()));
    for file in &mut files {
        let Recognised::Table { table, packing } = recognise("a.csv", file, None).unwrap() else {
            panic!();
        };
        surveys.push(survey(file, table, packing, &plain).unwrap());
    }
    unify(&mut surveys, &plain).unwrap();
    for survey in &surveys {
        assert_eq!(survey.columns.to_string(), "{id: integer, x: double}");
    }
    let mut out = Vec::new();
    write_parquet(&mut files[0], &surveys[0], &mut out).unwrap();
    assert_eq!(rows(&out), "1|2.0");
}

/// Text of many blocks, with what crosses them.
fn long() -> String {
    use std::fmt::Write;
    let mut text = "id,x,y\n".to_owned();
    for row in 0..90_000_u32 {
        let y = match row % 7 {
            0 => "\"a,\n\"\"b\"\"\"".to_owned(),
            _ => format!("w{}", row % 100),
        };
        writeln!(text, "{row},{}.25,{y}", row % 1000).unwrap();
    }
    text
}

#[test]
fn the_same_rows_give_the_same_bytes() {
    let text = long();
    let plain = make("a.csv", text.as_bytes(), &Declared::default()).unwrap();
    assert_eq!(
        plain.survey.columns.to_string(),
        "{id: integer, x: double, y: text}"
    );
    assert_eq!(plain.survey.rows, Some(90_000));
    let mut gzip = flate2::write::GzEncoder::new(Vec::new(), flate2::Compression::fast());
    gzip.write_all(text.as_bytes()).unwrap();
    for (name, packed) in [
        ("a.csv.gz", gzip.finish().unwrap()),
        ("a.csv.zst", zstd::encode_all(text.as_bytes(), 1).unwrap()),
    ] {
        let packed = make(name, &packed, &Declared::default()).unwrap();
        assert!(packed.parquet == plain.parquet, "{name}");
    }
    for threads in [1, 3] {
        let pool = rayon::ThreadPoolBuilder::new()
            .num_threads(threads)
            .build()
            .unwrap();
        let again = pool.install(|| make("a.csv", text.as_bytes(), &Declared::default()));
        assert!(again.unwrap().parquet == plain.parquet, "{threads} threads");
    }
    let pinned = declared("{}", &plain.survey.columns.to_string());
    assert!(make("a.csv", text.as_bytes(), &pinned).unwrap().parquet == plain.parquet);
}

#[test]
fn a_late_fault_has_its_line() {
    let mut text = long();
    let lines = text.matches('\n').count();
    text.push_str("90000,x,y\n");
    let pinned = declared("{header: true}", "{id: integer, x: double, y: text}");
    assert_eq!(
        told("a.csv", text.as_bytes(), &pinned),
        format!(
            "line {}, column `x`: a value that is no `double` <x>",
            lines + 1
        )
    );
    let made = make("a.csv", text.as_bytes(), &Declared::default()).unwrap();
    assert_eq!(
        made.survey.columns.to_string(),
        "{id: integer, x: text, y: text}"
    );
    text.push_str("1,2\n");
    assert_eq!(
        told("a.csv", text.as_bytes(), &Declared::default()),
        format!(
            "line {}: the row has 2 fields where there are 3 columns",
            lines + 2
        )
    );
}

#[test]
fn a_quote_that_stays_open_is_told_before_memory_ends() {
    let mut text = b"a,b\n1,\"x".to_vec();
    text.resize(custody_tabular::MAX_ROW + (1 << 21), b'x');
    assert_eq!(
        told(
            "a.csv",
            &text,
            &declared("{delimiter: ',', header: true}", "{}")
        ),
        "line 2: the row that begins here is longer than 64 MiB: is a quote left open?"
    );
}

#[test]
fn parquet_stays_as_it_is_and_arrow_is_copied() {
    use arrow_array::types::Int8Type;
    use arrow_array::{Array, ArrayRef, DictionaryArray, Int32Array, RecordBatch};
    use arrow_schema::{DataType, Field, Schema};
    let words: DictionaryArray<Int8Type> = [Some("x"), None, Some("y")].into_iter().collect();
    let batch = |second: &str| {
        let schema = Schema::new(vec![
            Field::new("a", DataType::Int32, true),
            Field::new(second, words.data_type().clone(), true),
        ]);
        let numbers = Int32Array::from(vec![1, 2, 3]);
        let arrays: Vec<ArrayRef> = vec![
            std::sync::Arc::new(numbers),
            std::sync::Arc::new(words.clone()),
        ];
        RecordBatch::try_new(schema.into(), arrays).unwrap()
    };
    let file = |batch: &RecordBatch| {
        let mut writer =
            arrow_ipc::writer::FileWriter::try_new(Vec::new(), &batch.schema()).unwrap();
        writer.write(batch).unwrap();
        writer.into_inner().unwrap()
    };
    let stream = |batch: &RecordBatch| {
        let mut writer =
            arrow_ipc::writer::StreamWriter::try_new(Vec::new(), &batch.schema()).unwrap();
        writer.write(batch).unwrap();
        writer.into_inner().unwrap()
    };
    let plain = Declared::default();
    let good = batch("b");
    let expected = "{a: integer, b: text}\n1|\"x\"\n2|null\n3|\"y\"";
    assert_eq!(told("a.arrow", &file(&good), &plain), expected);
    assert_eq!(told("a.arrows", &stream(&good), &plain), expected);
    assert_eq!(told("noname", &file(&good), &plain), expected);
    assert_eq!(
        told("a.arrow", &file(&batch("a")), &plain),
        "the column `a` stands twice"
    );
    let cut = file(&good);
    let cut = told("a.arrow", &cut[..cut.len() - 20], &plain);
    assert_eq!(cut, "it is damaged or cut off, or no Arrow at all");
    let made = make("a.arrow", &file(&good), &plain).unwrap().parquet;
    let again = make("a.parquet", &made, &plain).unwrap();
    assert!(again.parquet == made && again.survey.stays() && again.survey.rows == Some(3));
    let wrong = told("a.parquet", &made, &declared("{}", "{a: text}"));
    assert_eq!(
        wrong,
        "the column `a` is `integer` in it, and declared as `text`"
    );
    let mut broken = made;
    let end = broken.len() - 8;
    broken[end - 40..end].fill(0xff);
    assert_eq!(
        told("a.parquet", &broken, &plain),
        "its Parquet footer is damaged"
    );
}
