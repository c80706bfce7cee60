//! Text and bytes between the two languages.

use pyo3::buffer::PyBuffer;
use pyo3::exceptions::PyTypeError;
use pyo3::prelude::*;
use pyo3::types::{PyBytes, PyString};

use crate::nt::name::{is_wtf8, utf16_from_wtf8, wtf8_from_utf16};

/// A copy of any bytes-like object.
pub(crate) fn bytes_of(value: &Bound<'_, PyAny>) -> PyResult<Vec<u8>> {
    match value.cast::<PyBytes>() {
        Ok(bytes) => Ok(bytes.as_bytes().to_vec()),
        Err(_) => PyBuffer::<u8>::get(value)?.to_vec(value.py()),
    }
}

/// A str with one character for each code point, and for each surrogate without a partner.
pub(crate) fn str_from_utf16<'py>(py: Python<'py>, units: &[u16]) -> PyResult<Bound<'py, PyString>> {
    match String::from_utf16(units) {
        Ok(text) => Ok(PyString::new(py, &text)),
        Err(_) => decode(py, &wtf8_from_utf16(units), "surrogatepass"),
    }
}

/// The UTF-16 units of a str; two surrogates in a row become a pair.
pub(crate) fn utf16_of(text: &Bound<'_, PyString>) -> PyResult<Vec<u16>> {
    if let Ok(text) = text.to_str() {
        return Ok(text.encode_utf16().collect());
    }
    let encoded = text.call_method1("encode", ("utf-16-le", "surrogatepass"))?;
    Ok(encoded
        .cast::<PyBytes>()?
        .as_bytes()
        .chunks_exact(2)
        .map(|unit| u16::from_le_bytes([unit[0], unit[1]]))
        .collect())
}

/// Bytes as a str and whether they are WTF-8: bytes that are not come through `surrogateescape`.
pub(crate) fn str_from_wtf8<'py>(py: Python<'py>, bytes: &[u8]) -> PyResult<(Bound<'py, PyString>, bool)> {
    match std::str::from_utf8(bytes) {
        Ok(text) => Ok((PyString::new(py, text), true)),
        Err(_) if is_wtf8(bytes) => Ok((decode(py, bytes, "surrogatepass")?, true)),
        Err(_) => Ok((decode(py, bytes, "surrogateescape")?, false)),
    }
}

/// The bytes behind a name given as str or bytes: bytes as they are, str as WTF-8, or as `surrogateescape` made it.
///
/// A str that holds both escaped bytes and other lone surrogates has no bytes: a UnicodeEncodeError.
pub(crate) fn name_bytes(name: &Bound<'_, PyAny>) -> PyResult<Vec<u8>> {
    let Ok(text) = name.cast::<PyString>() else {
        return bytes_of(name).map_err(|_| PyTypeError::new_err("a name is str or bytes"));
    };
    if let Ok(text) = text.to_str() {
        return Ok(text.as_bytes().to_vec());
    }
    // Escaped bytes are U+DC80 to U+DCFF; where these bytes would be no WTF-8 again, they are what was meant.
    if let Ok(encoded) = text.call_method1("encode", ("utf-8", "surrogateescape")) {
        let bytes = encoded.cast::<PyBytes>()?.as_bytes();
        if utf16_from_wtf8(bytes).is_none() {
            return Ok(bytes.to_vec());
        }
    }
    Ok(wtf8_from_utf16(&utf16_of(text)?))
}

fn decode<'py>(py: Python<'py>, bytes: &[u8], errors: &str) -> PyResult<Bound<'py, PyString>> {
    let text = PyBytes::new(py, bytes).call_method1("decode", ("utf-8", errors))?;
    Ok(text.cast_into()?)
}
