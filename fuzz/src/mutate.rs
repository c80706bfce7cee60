//! Inputs changed as what they are: a change of raw bytes mostly breaks a length, a checksum or the syntax, and a
//! reader sees no more than that. Raw changes are made as well: one input in two of tars, one in four of lines.

use base64::{Engine, engine::general_purpose::STANDARD};
use fastrand::Rng;
use libfuzzer_sys::fuzzer_mutate;
use serde_json::{Value, json};

const BLOCK: usize = 512;

/// The keys of PAX records that a layer may have.
const KEYS: [&str; 35] = [
    "path",
    "linkpath",
    "size",
    "mtime",
    "atime",
    "ctime",
    "uid",
    "gid",
    "uname",
    "gname",
    "hdrcharset",
    "comment",
    "GNU.sparse.major",
    "GNU.sparse.minor",
    "GNU.sparse.name",
    "GNU.sparse.map",
    "GNU.sparse.offset",
    "GNU.sparse.numblocks",
    "GNU.sparse.numbytes",
    "GNU.sparse.size",
    "GNU.sparse.realsize",
    "LIBARCHIVE.creationtime",
    "MSWINDOWS.fileattr",
    "MSWINDOWS.mountpoint",
    "MSWINDOWS.rawsd",
    "MSWINDOWS.sd",
    "MSWINDOWS.xattr.ONE",
    "MSWINDOWS.xattr.two",
    "SCHILY.xattr.one",
    "WINLAYERS.ea",
    "WINLAYERS.reparse",
    "WINLAYERS.streams",
    "WINLAYERS.times",
    "WINLAYERS.unknown",
    "",
];

/// Values that such a record may have, or nearly.
const VALUES: [&str; 16] = [
    "",
    "0",
    "1",
    "-1",
    "16",
    "8592",
    "1.5",
    "-1.000000001",
    "1700000000.123456700",
    "18446744073709551615",
    "9223372036854775808",
    "0,1,512,1",
    "Files/a",
    "Hives/System_Delta",
    "\\??\\C:\\a",
    "AQAEgAAAAAAAAAAAAAAAAAAAAAA=",
];

/// Changes an input that is a tar from byte `start` on: its members and PAX records, or any of its bytes; the checksums
/// are put right, but for one time in eight.
pub fn tar(start: usize, data: &mut [u8], size: usize, max_size: usize, seed: u32) -> usize {
    let random = &mut Rng::with_seed(seed.into());
    let start = start.min(size);
    let way = random.u8(..8);
    if way < 4
        && let Some(size) = put(data, start, max_size, changed_tar(&data[start..size], random))
    {
        return size;
    }
    let size = fuzzer_mutate(data, size, max_size);
    if way != 7 {
        mend_checksums(&mut data[start.min(size)..size]);
    }
    size
}

/// Changes an input of lines of JSON: its lines and their values, or any of its bytes.
pub fn json_lines(data: &mut [u8], size: usize, max_size: usize, seed: u32) -> usize {
    let random = &mut Rng::with_seed(seed.into());
    if random.u8(..4) > 0
        && let Some(size) = put(data, 0, max_size, changed_lines(&data[..size], random))
    {
        return size;
    }
    fuzzer_mutate(data, size, max_size)
}

fn put(data: &mut [u8], start: usize, max_size: usize, changed: Option<Vec<u8>>) -> Option<usize> {
    let changed = changed.filter(|changed| start + changed.len() <= max_size)?;
    data[start..start + changed.len()].copy_from_slice(&changed);
    Some(start + changed.len())
}

/// A header is known by its magic; data that looks like one may be changed as well as any other.
fn mend_checksums(tar: &mut [u8]) {
    tar.as_chunks_mut::<BLOCK>().0.iter_mut().filter(|block| is_header(block)).for_each(mend_checksum);
}

fn is_header(block: &[u8; BLOCK]) -> bool {
    block[257..262] == *b"ustar"
}

fn mend_checksum(header: &mut [u8; BLOCK]) {
    header[148..156].fill(b' ');
    let sum: u32 = header.iter().map(|byte| u32::from(*byte)).sum();
    header[148..155].copy_from_slice(format!("{sum:06o}\0").as_bytes());
}

#[derive(Clone)]
struct Member {
    header: [u8; BLOCK],
    /// Without what fills its last block.
    data: Vec<u8>,
}

impl Member {
    fn is_pax(&self) -> bool {
        matches!(self.header[156], b'x' | b'g')
    }
}

/// As many members as are whole, and what lies behind them.
fn members(mut tar: &[u8]) -> (Vec<Member>, &[u8]) {
    let mut members = Vec::new();
    while let Some((header, rest)) = tar.split_first_chunk()
        && is_header(header)
        && let Some(size) = octal(&header[124..136])
        && let Some((data, rest)) = rest.split_at_checked(size.next_multiple_of(BLOCK))
    {
        members.push(Member { header: *header, data: data[..size].to_vec() });
        tar = rest;
    }
    (members, tar)
}

fn octal(field: &[u8]) -> Option<usize> {
    let text = std::str::from_utf8(field).ok()?.trim_matches(['\0', ' ']);
    usize::from_str_radix(text, 8).ok().filter(|size| *size <= 1 << 20)
}

fn changed_tar(tar: &[u8], random: &mut Rng) -> Option<Vec<u8>> {
    let (mut members, rest) = members(tar);
    for _ in 0..random.usize(1..4) {
        change_members(&mut members, random)?;
    }
    let mut changed = Vec::new();
    for Member { mut header, data } in members {
        mend_checksum(&mut header);
        changed.extend(header);
        changed.extend(&data);
        changed.resize(changed.len().next_multiple_of(BLOCK), 0);
    }
    changed.extend(rest);
    Some(changed)
}

fn change_members(members: &mut Vec<Member>, random: &mut Rng) -> Option<()> {
    let other = random.choice(members.iter())?.clone();
    let at = random.usize(..members.len());
    let member = &mut members[at];
    match random.u8(..12) {
        0 => _ = members.remove(at),
        1 => members.insert(at, other),
        2 => *member = other,
        // Its name or its link's name is the name of another.
        3 => member.header[..100].copy_from_slice(&other.header[..100]),
        4 => member.header[157..257].copy_from_slice(&other.header[..100]),
        5 => member.header[156] = *random.choice(b"\x000123456xgLKS5017VN").expect("some"),
        6 => {
            let kind = random.choice([0o10_0000, 0o4_0000, 0o12_0000, 0o2_0000, 0o6_0000, 0o1_0000, 0]).expect("some");
            member.header[100..108].copy_from_slice(format!("{:07o}\0", kind + 0o644).as_bytes());
        }
        7 => _ = fuzzer_mutate(&mut member.header, BLOCK, BLOCK),
        _ => {
            if !member.is_pax() {
                let mut header = member.header;
                header[156] = b'x';
                members.insert(at, Member { header, data: Vec::new() });
            }
            let pax = &mut members[at];
            let mut records = records(&pax.data);
            change_records(&mut records, random);
            pax.data = records.iter().flat_map(|(key, value)| record(key, value)).collect();
            pax.header[124..136].copy_from_slice(format!("{:011o}\0", pax.data.len()).as_bytes());
        }
    }
    Some(())
}

type Record = (Vec<u8>, Vec<u8>);

/// As many records as are whole.
fn records(mut data: &[u8]) -> Vec<Record> {
    let mut records = Vec::new();
    while let Some(space) = data.iter().position(|byte| *byte == b' ')
        && let Some(len) = std::str::from_utf8(&data[..space]).ok().and_then(|len| len.parse::<usize>().ok())
        && let Some((record, rest)) = data.split_at_checked(len)
        && let Some(record) = record.get(space + 1..record.len().saturating_sub(1))
        && let Some(equals) = record.iter().position(|byte| *byte == b'=')
    {
        records.push((record[..equals].to_vec(), record[equals + 1..].to_vec()));
        data = rest;
    }
    records
}

fn record(key: &[u8], value: &[u8]) -> Vec<u8> {
    let rest = key.len() + value.len() + 3;
    let mut len = rest;
    while len != rest + len.to_string().len() {
        len = rest + len.to_string().len();
    }
    [len.to_string().as_bytes(), b" ", key, b"=", value, b"\n"].concat()
}

fn change_records(records: &mut Vec<Record>, random: &mut Rng) {
    let key = random.choice(KEYS).expect("some").as_bytes().to_vec();
    let value = random.choice(VALUES).expect("some").as_bytes().to_vec();
    let Some(other) = random.choice(records.iter()).cloned() else { return records.push((key, value)) };
    let at = random.usize(..records.len());
    match random.u8(..8) {
        0 => _ = records.remove(at),
        1 => records.insert(at, other),
        2 => records[at].0 = key,
        3 => records[at].1 = other.1,
        4 => records[at].1 = value,
        5 => records.push((key, value)),
        _ => change_text(&mut records[at].1, random),
    }
}

/// What is in base64 is changed as what it stands for, and a list as one, half of the time.
fn change_text(text: &mut Vec<u8>, random: &mut Rng) {
    match STANDARD.decode(&*text) {
        Err(_) if random.bool() => change_list(text, random),
        Ok(mut bytes) if random.bool() => {
            change_bytes(&mut bytes);
            *text = STANDARD.encode(bytes).into();
        }
        _ => change_bytes(text),
    }
}

fn change_list(text: &mut Vec<u8>, random: &mut Rng) {
    let separator = *random.choice(b";, ").expect("some");
    let mut items: Vec<Vec<u8>> = text.split(|byte| *byte == separator).map(<[u8]>::to_vec).collect();
    let (at, other) = (random.usize(..items.len()), random.choice(&items).expect("one at least").clone());
    match random.u8(..5) {
        0 => _ = items.remove(at),
        1 => items.insert(at, other),
        2 => items[at] = other,
        3 => items[at] = random.choice(VALUES).expect("some").into(),
        _ => change_bytes(&mut items[at]),
    }
    *text = items.join(&separator);
}

fn change_bytes(bytes: &mut Vec<u8>) {
    let (size, most) = (bytes.len(), bytes.len() + 64);
    bytes.resize(most, 0);
    let size = fuzzer_mutate(bytes, size, most);
    bytes.truncate(size);
}

fn changed_lines(text: &[u8], random: &mut Rng) -> Option<Vec<u8>> {
    let mut lines =
        text.split_inclusive(|byte| *byte == b'\n').map(serde_json::from_slice).collect::<Result<_, _>>().ok()?;
    for _ in 0..random.usize(1..4) {
        change_lines(&mut lines, random)?;
    }
    Some(lines.iter().flat_map(|line| format!("{line}\n").into_bytes()).collect())
}

fn change_lines(lines: &mut Vec<Value>, random: &mut Rng) -> Option<()> {
    let (at, from) = (random.usize(..lines.len().max(1)), random.usize(..lines.len().max(1)));
    let other = lines.get(from)?.clone();
    match random.u8(..12) {
        0 => _ = lines.remove(at),
        1 => lines.insert(at, other),
        2 => lines.swap(at, from),
        _ => {
            let (mut keys, mut values) = (Vec::new(), literals());
            lines.iter().for_each(|line| collect(line, &mut keys, &mut values));
            let key = random.choice(keys)?;
            let value = random.choice(values)?;
            let node = random.usize(..count(&lines[at]));
            change_value(nth(&mut lines[at], &mut { node })?, key, value, random);
        }
    }
    Some(())
}

fn literals() -> Vec<Value> {
    let numbers = [json!(0), json!(1), json!(-1), json!(1.5), json!(1_i64 << 32), json!(i64::MAX), json!(u64::MAX)];
    let others = [Value::Null, json!(true), json!(""), json!("base64:"), json!("base64:/w=="), json!([]), json!({})];
    numbers.into_iter().chain(others).collect()
}

/// All keys and values below a value.
fn collect(value: &Value, keys: &mut Vec<String>, values: &mut Vec<Value>) {
    match value {
        Value::Array(items) => items.iter().for_each(|item| collect(item, keys, values)),
        Value::Object(fields) => fields.iter().for_each(|(key, field)| {
            keys.push(key.clone());
            collect(field, keys, values);
        }),
        _ => {}
    }
    values.push(value.clone());
}

fn count(value: &Value) -> usize {
    1 + match value {
        Value::Array(items) => items.iter().map(count).sum(),
        Value::Object(fields) => fields.values().map(count).sum(),
        _ => 0,
    }
}

/// The value that has `n` others before it.
fn nth<'a>(value: &'a mut Value, n: &mut usize) -> Option<&'a mut Value> {
    if *n == 0 {
        return Some(value);
    }
    *n -= 1;
    match value {
        Value::Array(items) => items.iter_mut().find_map(|item| nth(item, n)),
        Value::Object(fields) => fields.values_mut().find_map(|field| nth(field, n)),
        _ => None,
    }
}

fn change_value(value: &mut Value, key: String, other: Value, random: &mut Rng) {
    match (random.u8(..8), &mut *value) {
        (0, _) => *value = other,
        (1, Value::Object(fields)) => *value = fields.values().cloned().collect(),
        (2..=3, Value::Object(fields)) if !fields.is_empty() => {
            let was = random.choice(fields.keys()).expect("some").clone();
            let field = fields.remove(&was).expect("it is there");
            if random.bool() {
                fields.insert(key, field);
            }
        }
        (_, Value::Object(fields)) => _ = fields.insert(key, other),
        (1..=3, Value::Array(items)) if !items.is_empty() => _ = items.remove(random.usize(..items.len())),
        (_, Value::Array(items)) => items.insert(random.usize(..=items.len()), other),
        (_, Value::String(text)) => {
            let mut bytes = std::mem::take(text).into_bytes();
            change_text(&mut bytes, random);
            *text = String::from_utf8_lossy(&bytes).into_owned();
        }
        (1..=4, Value::Number(number)) => {
            *value = number.as_i64().map_or(other, |was| was.wrapping_add(random.i64(-2..=2)).into());
        }
        _ => *value = other,
    }
}
