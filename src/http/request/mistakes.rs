//! What the body of a POST or PATCH is when it is not SDP: the mistakes that clients make, each with its own sentence.
//! A parser of SDP would only name the first line that it cannot read.

use crate::http::error::Problem;

/// The body as text, unless it is something that clients send by mistake.
pub(super) fn read(bytes: Vec<u8>) -> Result<String, Problem> {
    if let Some(sentence) = mistake(&bytes) {
        return Err(Problem::Malformed(sentence.to_owned()));
    }
    String::from_utf8(bytes).map_err(|_| Problem::Malformed("the body is not UTF-8: send the SDP as text".to_owned()))
}

/// Names what a body is that cannot be SDP, with what to do.
fn mistake(bytes: &[u8]) -> Option<&'static str> {
    if bytes.starts_with(b"\xef\xbb\xbf") {
        return Some(
            "the body begins with a byte order mark: send it without, the first letter is that of the first line",
        );
    }
    if bytes.starts_with(b"\xff\xfe") || bytes.starts_with(b"\xfe\xff") || bytes.get(1) == Some(&0) {
        return Some("the body is UTF-16: send the SDP as UTF-8");
    }
    if bytes.starts_with(b"\x1f\x8b") {
        return Some("the body is compressed: send the SDP as it is");
    }
    if let Some(at) = bytes.iter().position(|byte| *byte == 0) {
        let is_end = bytes[at..].iter().all(|byte| matches!(byte, 0 | b'\r' | b'\n'));
        return Some(match is_end {
            true => "the body ends with a NUL byte: send the text without the byte that ends strings in C",
            false => "the body has NUL bytes inside: send the SDP as text",
        });
    }
    let text = bytes.trim_ascii_start();
    match text.first()? {
        b'{' | b'[' => Some("the body is JSON: send the text of the SDP alone, without anything around it"),
        b'"' | b'\'' => {
            Some("the body is a text in quotes, as JSON.stringify makes it: send the text of the SDP itself, as it is")
        }
        b'<' => Some("the body is HTML or XML: send the text of the SDP alone"),
        _ if is_form(text) => {
            Some("the body is an HTML form: send the text of the SDP alone, not as a field of a form")
        }
        _ if text.starts_with(b"v=0\\") || text.starts_with(b"a=") && has_written_ends(text) => {
            Some("the lines of the body end with a backslash and letters: send real line ends (CR LF)")
        }
        _ if text.starts_with(b"v%3") || text.starts_with(b"a%3") => {
            Some("the body is percent-encoded: send the text of the SDP as it is")
        }
        _ => None,
    }
}

/// `application/x-www-form-urlencoded` or `multipart/form-data`.
fn is_form(text: &[u8]) -> bool {
    let line = text.split(|byte| *byte == b'\n').next().unwrap_or_default();
    if line.starts_with(b"--") {
        return text.windows(19).take(1024).any(|window| window.eq_ignore_ascii_case(b"content-disposition"));
    }
    // A line of SDP has one letter before its `=`; the names of fields are longer, and values have their `=` encoded.
    let name = line.split(|byte| *byte == b'=').next().unwrap_or_default();
    name.len() > 1
        && name.len() < line.len()
        && name.iter().all(|byte| byte.is_ascii_alphanumeric() || b"-_.[]%".contains(byte))
}

/// Escapes where line ends should be, and no real line end.
fn has_written_ends(text: &[u8]) -> bool {
    !text.contains(&b'\n') && text.windows(2).any(|pair| pair == b"\\r" || pair == b"\\n")
}

#[cfg(test)]
mod tests {
    use super::*;

    fn complaint(body: &[u8]) -> String {
        match read(body.to_vec()) {
            Err(Problem::Malformed(sentence)) => sentence,
            other => panic!("{body:?}: {other:?}"),
        }
    }

    #[test]
    fn each_mistake_has_its_own_sentence_and_repeats_nothing_of_the_body() {
        let wide: Vec<u8> = "v=0\r\n".encode_utf16().flat_map(u16::to_le_bytes).collect();
        let mut seen = std::collections::HashSet::new();
        for (body, part) in [
            (&b"\xef\xbb\xbfv=0\r\n"[..], "byte order mark"),
            (b"\xff\xfev\0=\x000\0", "UTF-16"),
            (&wide, "UTF-16"),
            (b"\x1f\x8b\x08\0\0", "compressed"),
            (b"v=0\r\ns=-\r\n\0", "ends with a NUL"),
            (b"v=0\r\ns=-\0\r\n", "ends with a NUL"),
            (b"v=0\r\ns=\0-\r\na=x\r\n", "NUL bytes inside"),
            (br#"{"type":"offer","sdp":"v=0\r\no=-"}"#, "JSON: send the text"),
            (b" [1]", "JSON: send the text"),
            (br#""v=0\r\no=-""#, "in quotes"),
            (b"<!DOCTYPE html>", "HTML or XML"),
            (b"sdp=v%3D0%0D%0Ao%3D-", "HTML form"),
            (b"type=offer&sdp=v%3D0", "HTML form"),
            (b"------x\r\nContent-Disposition: form-data; name=\"sdp\"\r\n\r\nv=0\r\n", "HTML form"),
            (br"v=0\r\no=- 1 2 IN IP4 127.0.0.1\r\n", "backslash"),
            (br"a=candidate:1 1 udp 1 192.0.2.1 9 typ host\r\n", "backslash"),
            (b"v%3D0%0D%0A", "percent-encoded"),
            (b"v=0\r\ns=\xff\r\n", "not UTF-8"),
        ] {
            let sentence = complaint(body);
            assert!(sentence.contains(part), "{}: {sentence}", body.escape_ascii());
            assert!(!sentence.contains('\\') && !sentence.contains("v=0"), "{sentence}");
            seen.insert(sentence);
        }
        assert_eq!(seen.len(), 12);
    }

    #[test]
    fn sdp_passes_as_it_is() {
        for text in [
            "",
            "v=0\r\ns=-\r\n",
            "a=candidate:1 1 udp 1 192.0.2.1 9 typ host\r\n",
            "a=fmtp:96 x=\\n\r\n",
            "hello",
            "m=audio 9 x\n",
            "--",
        ] {
            assert_eq!(read(text.as_bytes().to_vec()), Ok(text.to_owned()));
        }
    }
}
