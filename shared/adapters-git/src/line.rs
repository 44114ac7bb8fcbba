//! Packet lines, the frames of git's protocol (gitprotocol-common), and the side bands in them.

use crate::fault::Fault;
use std::io::{self, BufRead, Read};

/// Longest content of a line, bytes.
const DATA_BYTES_MAX: usize = 65_516;
/// Bytes of the length before each line.
const LENGTH_BYTES: usize = 4;

/// One line.
#[derive(Debug, PartialEq, Eq)]
pub(crate) enum Line<'a> {
    /// Content.
    Data(&'a [u8]),
    /// `0000`: the end of an answer or of a part.
    Flush,
    /// `0001`: between two parts.
    Delimiter,
    /// `0002`: the end of an answer without a state.
    End,
}

impl<'a> Line<'a> {
    /// The content without the line break that may end it; nothing for the other kinds.
    pub(crate) fn text(&self) -> Option<&'a [u8]> {
        match self {
            Self::Data(data) => Some(data.strip_suffix(b"\n").unwrap_or(data)),
            Self::Flush | Self::Delimiter | Self::End => None,
        }
    }
}

/// Reads lines, at most so many bytes of them.
pub(crate) struct Lines<R> {
    reader: R,
    left: u64,
    data: Vec<u8>,
}

impl<R: Read> Lines<R> {
    pub(crate) fn new(reader: R, bytes_max: u64) -> Self {
        Self {
            reader,
            left: bytes_max,
            data: Vec::new(),
        }
    }

    /// The next line. An answer that ends without one is cut.
    pub(crate) fn next(&mut self) -> Result<Line<'_>, Fault> {
        let mut length = [0; LENGTH_BYTES];
        self.take(LENGTH_BYTES)?;
        self.reader.read_exact(&mut length)?;
        let length = std::str::from_utf8(&length)
            .ok()
            .filter(|text| text.bytes().all(|byte| byte.is_ascii_hexdigit()))
            .and_then(|text| usize::from_str_radix(text, 16).ok())
            .ok_or_else(|| Fault::malformed("a line has no length"))?;
        let bytes = match length {
            0 => return Ok(Line::Flush),
            1 => return Ok(Line::Delimiter),
            2 => return Ok(Line::End),
            3 => return Err(Fault::malformed("a line is three bytes long")),
            _ => length - LENGTH_BYTES,
        };
        if bytes > DATA_BYTES_MAX {
            return Err(Fault::malformed("a line is too long"));
        }
        self.take(bytes)?;
        self.data.resize(bytes, 0);
        self.reader.read_exact(&mut self.data)?;
        if let Some(words) = self.data.strip_prefix(b"ERR ") {
            return Err(Fault::said(words));
        }
        Ok(Line::Data(&self.data))
    }

    /// The content of the next line as text; nothing at a line without content.
    pub(crate) fn text(&mut self) -> Result<Option<String>, Fault> {
        let line = self.next()?;
        let Some(text) = line.text() else {
            return Ok(None);
        };
        let text = String::from_utf8(text.to_vec());
        text.map(Some)
            .map_err(|_| Fault::malformed("a line is not UTF-8 text"))
    }

    fn take(&mut self, bytes: usize) -> Result<(), Fault> {
        let left = u64::try_from(bytes)
            .ok()
            .and_then(|bytes| self.left.checked_sub(bytes));
        match left {
            Some(left) => {
                self.left = left;
                Ok(())
            }
            None => Err(Fault::TooLarge("more bytes than are read".to_owned())),
        }
    }
}

/// What comes on band 1 of lines, until they end. What the host says on band 2 is kept in part, on band 3 is a fault.
pub(crate) struct Band<R> {
    lines: Lines<R>,
    data: Vec<u8>,
    at: usize,
    ended: bool,
    remarks: Vec<u8>,
}

/// Most of a host's remarks that are kept, bytes.
const REMARKS_BYTES_MAX: usize = 2048;

impl<R: Read> Band<R> {
    pub(crate) fn new(lines: Lines<R>) -> Self {
        Self {
            lines,
            data: Vec::new(),
            at: 0,
            ended: false,
            remarks: Vec::new(),
        }
    }

    /// The first of what the host said to people.
    pub(crate) fn remarks(&self) -> &[u8] {
        &self.remarks
    }

    fn fill(&mut self) -> Result<(), Fault> {
        while !self.ended && self.at >= self.data.len() {
            let Line::Data(data) = self.lines.next()? else {
                self.ended = true;
                break;
            };
            match data.split_first() {
                Some((1, content)) => {
                    self.data.clear();
                    self.data.extend_from_slice(content);
                    self.at = 0;
                }
                Some((2, remark)) => {
                    let room = REMARKS_BYTES_MAX.saturating_sub(self.remarks.len());
                    self.remarks.extend(remark.iter().take(room));
                }
                Some((3, words)) => return Err(Fault::said(words)),
                Some(_) | None => return Err(Fault::malformed("a line is on no side band")),
            }
        }
        Ok(())
    }
}

impl<R: Read> BufRead for Band<R> {
    fn fill_buf(&mut self) -> io::Result<&[u8]> {
        self.fill()?;
        Ok(self.data.get(self.at..).unwrap_or_default())
    }

    fn consume(&mut self, amount: usize) {
        self.at = self.at.saturating_add(amount).min(self.data.len());
    }
}

impl<R: Read> Read for Band<R> {
    fn read(&mut self, into: &mut [u8]) -> io::Result<usize> {
        let count = self.fill_buf()?.read(into)?;
        self.consume(count);
        Ok(count)
    }
}

/// Appends a line with content.
pub(crate) fn push_line(out: &mut Vec<u8>, data: &[u8]) {
    out.extend_from_slice(format!("{:04x}", data.len() + LENGTH_BYTES).as_bytes());
    out.extend_from_slice(data);
}

/// Appends `0000`.
pub(crate) fn push_flush(out: &mut Vec<u8>) {
    out.extend_from_slice(b"0000");
}

/// Appends `0001`.
pub(crate) fn push_delimiter(out: &mut Vec<u8>) {
    out.extend_from_slice(b"0001");
}

#[cfg(test)]
mod tests {
    use super::*;

    fn lines(bytes: &[u8]) -> Lines<&[u8]> {
        Lines::new(bytes, 1000)
    }

    #[test]
    fn what_is_written_is_read() {
        let mut out = Vec::new();
        push_line(&mut out, b"hello\n");
        push_delimiter(&mut out);
        push_line(&mut out, b"");
        push_flush(&mut out);
        let mut lines = lines(&out);
        assert_eq!(lines.next().unwrap(), Line::Data(b"hello\n"));
        assert_eq!(lines.next().unwrap(), Line::Delimiter);
        assert_eq!(lines.text().unwrap().as_deref(), Some(""));
        assert_eq!(lines.next().unwrap(), Line::Flush);
        assert!(matches!(lines.next(), Err(Fault::Cut(_))));
    }

    #[test]
    fn a_length_that_is_none_is_refused() {
        for bytes in [&b"0003"[..], b"zzzz", b"+004", b"ffff", "é00".as_bytes()] {
            let refusal = lines(bytes).next().map(|_| ()).unwrap_err();
            assert!(
                matches!(refusal, Fault::Malformed(_)),
                "{bytes:?}: {refusal}"
            );
        }
        assert!(matches!(lines(b"0009abc").next(), Err(Fault::Cut(_))));
        let few = Lines::new(&b"0009abcde"[..], 8).next().map(|_| ());
        assert!(matches!(few, Err(Fault::TooLarge(_))));
    }

    #[test]
    fn only_band_one_is_content_and_band_three_is_a_fault() {
        let mut out = Vec::new();
        for line in [
            &b"\x01ab"[..],
            b"\x02counting",
            b"\x01c",
            b"\x03disk full\n",
        ] {
            push_line(&mut out, line);
        }
        let mut band = Band::new(lines(&out));
        let mut content = [0; 3];
        band.read_exact(&mut content).unwrap();
        assert_eq!(&content, b"abc");
        let fault = Fault::from(band.read_exact(&mut content).unwrap_err());
        assert!(matches!(fault, Fault::Said(words) if words == "disk full"));
        assert_eq!(band.remarks(), b"counting");
    }
}
