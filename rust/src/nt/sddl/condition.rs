//! Conditional entries: an expression in postfix form behind the SID, written as text.
//!
//! The expression is `artx` and tokens ([MS-DTYP] 2.4.4.17), each a byte code and, for literals and attribute names, a
//! length and data. Every operation but the outermost gets its own parentheses, so no rule of precedence is needed.

use crate::error::{Error, Result};

use super::super::Sid;
use super::super::bytes::{u32_at, u64_at, units};
use super::words::{bad_data, octets, quoted, sid_to_string};

/// Writes the condition in parentheses.
///
/// # Errors
/// A format error where the data is not an expression, at the offset within it.
pub(super) fn write(out: &mut String, data: &[u8], domain: Option<&Sid>) -> Result<()> {
    let tokens = data.strip_prefix(b"artx").ok_or_else(|| bad_data("signature", "artx", "other bytes", 0))?;
    let mut reader = Reader { data: tokens, at: 0, domain };
    let mut nodes: Vec<Node> = Vec::new();
    let mut stack: Vec<usize> = Vec::new();
    while reader.at < tokens.len() {
        let at = reader.at;
        let short = || bad_data("operand", "as many as the operator takes", "too few", at);
        let code = reader.byte()?;
        let node = match (code, unary(code), binary(code)) {
            // Padding to four bytes at the end.
            (0, ..) => continue,
            (_, Some(word), _) => Node::Unary(word, stack.pop().ok_or_else(short)?),
            (_, _, Some(word)) => {
                let right = stack.pop().ok_or_else(short)?;
                Node::Binary(stack.pop().ok_or_else(short)?, word, right)
            }
            _ => Node::Leaf(reader.operand(code, at)?),
        };
        stack.push(nodes.len());
        nodes.push(node);
    }
    let [root] = stack[..] else {
        return Err(bad_data("expression", "one result", stack.len().to_string(), tokens.len()));
    };
    out.push('(');
    write_tree(out, &nodes, root);
    out.push(')');
    Ok(())
}

enum Node {
    Leaf(String),
    Unary(&'static str, usize),
    Binary(usize, &'static str, usize),
}

/// Without recursion: a hostile expression may be thousands of operations deep.
fn write_tree(out: &mut String, nodes: &[Node], root: usize) {
    enum Step {
        Text(&'static str),
        Node(usize),
        Operand(usize),
    }
    let mut steps = vec![Step::Node(root)];
    while let Some(step) = steps.pop() {
        match step {
            Step::Text(text) => out.push_str(text),
            Step::Operand(index) => match nodes[index] {
                Node::Leaf(_) => steps.push(Step::Node(index)),
                _ => steps.extend([Step::Text(")"), Step::Node(index), Step::Text("(")]),
            },
            Step::Node(index) => match &nodes[index] {
                Node::Leaf(text) => out.push_str(text),
                Node::Unary(word, operand) => {
                    let space = if *word == "!" { "" } else { " " };
                    steps.extend([Step::Operand(*operand), Step::Text(space), Step::Text(word)]);
                }
                Node::Binary(left, word, right) => {
                    let (left, right) = (Step::Operand(*left), Step::Operand(*right));
                    steps.extend([right, Step::Text(" "), Step::Text(word), Step::Text(" "), left]);
                }
            },
        }
    }
}

fn unary(code: u8) -> Option<&'static str> {
    Some(match code {
        0x87 => "Exists",
        0x8d => "Not_Exists",
        0x89 => "Member_of",
        0x8a => "Device_Member_of",
        0x8b => "Member_of_Any",
        0x8c => "Device_Member_of_Any",
        0x90 => "Not_Member_of",
        0x91 => "Not_Device_Member_of",
        0x92 => "Not_Member_of_Any",
        0x93 => "Not_Device_Member_of_Any",
        0xa2 => "!",
        _ => return None,
    })
}

fn binary(code: u8) -> Option<&'static str> {
    Some(match code {
        0x80 => "==",
        0x81 => "!=",
        0x82 => "<",
        0x83 => "<=",
        0x84 => ">",
        0x85 => ">=",
        0x86 => "Contains",
        0x88 => "Any_of",
        0x8e => "Not_Contains",
        0x8f => "Not_Any_of",
        0xa0 => "&&",
        0xa1 => "||",
        _ => return None,
    })
}

struct Reader<'a> {
    data: &'a [u8],
    at: usize,
    domain: Option<&'a Sid>,
}

impl<'a> Reader<'a> {
    fn byte(&mut self) -> Result<u8> {
        self.take(1).map(|bytes| bytes[0])
    }

    fn take(&mut self, size: usize) -> Result<&'a [u8]> {
        let left = &self.data[self.at..];
        let found = left.len();
        let bytes = left
            .get(..size)
            .ok_or_else(|| bad_data("token", format!("{size} bytes"), format!("{found} bytes"), self.at))?;
        self.at += size;
        Ok(bytes)
    }

    fn counted(&mut self) -> Result<&'a [u8]> {
        let size = u32_at(self.take(4)?, 0).unwrap_or(0);
        self.take(usize::try_from(size).unwrap_or(usize::MAX))
    }

    fn operand(&mut self, code: u8, at: usize) -> Result<String> {
        match code {
            0x50 => self.composite(),
            0xf8 => Ok(attribute("", self.counted()?)),
            0xf9 => Ok(attribute("@User.", self.counted()?)),
            0xfa => Ok(attribute("@Resource.", self.counted()?)),
            0xfb => Ok(attribute("@Device.", self.counted()?)),
            _ => self.literal(code, at),
        }
    }

    /// A list of literals; lists within lists are not defined.
    fn composite(&mut self) -> Result<String> {
        let start = self.at + 4;
        let mut inner = Reader { data: self.counted()?, at: 0, domain: self.domain };
        let mut items = Vec::new();
        while inner.at < inner.data.len() {
            let at = inner.at;
            let item = inner.byte().and_then(|code| inner.literal(code, at));
            items.push(item.map_err(|error| moved(error, start))?);
        }
        Ok(format!("{{{}}}", items.join(", ")))
    }

    fn literal(&mut self, code: u8, at: usize) -> Result<String> {
        match code {
            0x01..=0x04 => self.integer(),
            0x10 => Ok(quoted(&units(self.counted()?))),
            0x18 => Ok(octets(self.counted()?)),
            0x51 => {
                let start = self.at + 4;
                let sid = Sid::parse(self.counted()?).map_err(|error| moved(error.at(0), start))?;
                Ok(format!("SID({})", sid_to_string(&sid, self.domain)))
            }
            _ => Err(bad_data("token", "a code of [MS-DTYP] 2.4.4.17", format!("{code:#04x}"), at)),
        }
    }

    /// A number in two's complement, its sign as written, its base as written.
    fn integer(&mut self) -> Result<String> {
        let bytes = self.take(10)?;
        let value = u64_at(bytes, 0).unwrap_or(0).cast_signed();
        let sign = match (bytes[8], value < 0) {
            (_, true) | (2, _) => "-",
            (1, false) => "+",
            _ => "",
        };
        let size = value.unsigned_abs();
        Ok(match bytes[9] {
            1 => format!("{sign}0{size:o}"),
            3 => format!("{sign}0x{size:x}"),
            _ => format!("{sign}{size}"),
        })
    }
}

/// An attribute name; characters that a name may not hold are written as `%` and four digits.
fn attribute(prefix: &str, name: &[u8]) -> String {
    let plain = |unit: &u16| u8::try_from(*unit).is_ok_and(|b| b.is_ascii_alphanumeric() || b":./_-".contains(&b));
    let mut out = prefix.to_owned();
    for unit in units(name) {
        if plain(&unit) {
            out.extend(char::from_u32(u32::from(unit)));
        } else {
            out.push_str(&format!("%{unit:04x}"));
        }
    }
    out
}

fn moved(mut error: Error, by: usize) -> Error {
    if let Error::Format(inner) = &mut error {
        inner.offset = inner.offset.map(|offset| offset + by as u64);
    }
    error
}
