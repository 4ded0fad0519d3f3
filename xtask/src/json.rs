//! A reader for JSON, as much as `cargo metadata` and our benchmarks need.

use crate::Result;

/// A JSON value.
#[derive(Debug, PartialEq)]
pub(crate) enum Json {
    Null,
    Bool(bool),
    Number(f64),
    Text(String),
    List(Vec<Json>),
    Object(Vec<(String, Json)>),
}

impl Json {
    /// Reads one value and expects nothing after it.
    pub(crate) fn parse(text: &str) -> Result<Json> {
        let mut reader = Reader { text, at: 0 };
        let value = reader.value()?;
        reader.space();
        if reader.at == text.len() { Ok(value) } else { Err(reader.wrong("the end")) }
    }

    /// The member called `name`; `Null` when there is none.
    pub(crate) fn get(&self, name: &str) -> &Json {
        match self {
            Json::Object(members) => {
                members.iter().find(|(key, _)| key == name).map_or(&Json::Null, |(_, value)| value)
            }
            _ => &Json::Null,
        }
    }

    /// The elements of a list; none for anything else.
    pub(crate) fn list(&self) -> &[Json] {
        if let Json::List(elements) = self { elements } else { &[] }
    }

    /// The text; empty for anything else.
    pub(crate) fn text(&self) -> &str {
        if let Json::Text(text) = self { text } else { "" }
    }

    /// The number; not a number for anything else.
    pub(crate) fn number(&self) -> f64 {
        if let Json::Number(number) = self { *number } else { f64::NAN }
    }
}

struct Reader<'a> {
    text: &'a str,
    at: usize,
}

impl Reader<'_> {
    fn wrong(&self, expected: &str) -> Box<dyn std::error::Error> {
        format!("JSON: expected {expected} at byte {}", self.at).into()
    }

    fn space(&mut self) {
        let rest = &self.text[self.at..];
        self.at += rest.len() - rest.trim_start().len();
    }

    fn eat(&mut self, token: &str) -> bool {
        self.space();
        let found = self.text[self.at..].starts_with(token);
        self.at += if found { token.len() } else { 0 };
        found
    }

    fn value(&mut self) -> Result<Json> {
        self.space();
        match self.text.as_bytes().get(self.at) {
            Some(b'{') => self.object(),
            Some(b'[') => self.elements(),
            Some(b'"') => Ok(Json::Text(self.string()?)),
            Some(b'-' | b'0'..=b'9') => {
                let rest = &self.text[self.at..];
                let length = rest.find(|c: char| !"+-.eE0123456789".contains(c)).unwrap_or(rest.len());
                let number = rest[..length].parse().map_err(|_| self.wrong("a number"))?;
                self.at += length;
                Ok(Json::Number(number))
            }
            _ if self.eat("true") => Ok(Json::Bool(true)),
            _ if self.eat("false") => Ok(Json::Bool(false)),
            _ if self.eat("null") => Ok(Json::Null),
            _ => Err(self.wrong("a value")),
        }
    }

    fn object(&mut self) -> Result<Json> {
        let mut members = Vec::new();
        self.eat("{");
        while !self.eat("}") {
            if !members.is_empty() && !self.eat(",") {
                return Err(self.wrong("',' or '}'"));
            }
            self.space();
            let name = self.string()?;
            if !self.eat(":") {
                return Err(self.wrong("':'"));
            }
            members.push((name, self.value()?));
        }
        Ok(Json::Object(members))
    }

    fn elements(&mut self) -> Result<Json> {
        let mut elements = Vec::new();
        self.eat("[");
        while !self.eat("]") {
            if !elements.is_empty() && !self.eat(",") {
                return Err(self.wrong("',' or ']'"));
            }
            elements.push(self.value()?);
        }
        Ok(Json::List(elements))
    }

    fn string(&mut self) -> Result<String> {
        if !self.eat("\"") {
            return Err(self.wrong("a string"));
        }
        let mut out = String::new();
        loop {
            let rest = &self.text[self.at..];
            let stop = rest.find(['"', '\\']).ok_or_else(|| self.wrong("the end of a string"))?;
            out.push_str(&rest[..stop]);
            self.at += stop + 1;
            if rest.as_bytes()[stop] == b'"' {
                return Ok(out);
            }
            out.push(self.escaped()?);
        }
    }

    /// What follows a backslash. Surrogate pairs become the replacement character: cargo writes UTF-8.
    fn escaped(&mut self) -> Result<char> {
        let letter = self.text[self.at..].chars().next().ok_or_else(|| self.wrong("an escape"))?;
        self.at += letter.len_utf8();
        Ok(match letter {
            'n' => '\n',
            't' => '\t',
            'r' => '\r',
            'b' => '\u{8}',
            'f' => '\u{c}',
            '"' | '\\' | '/' => letter,
            'u' => {
                let digits = self.text.get(self.at..self.at + 4).ok_or_else(|| self.wrong("four digits"))?;
                let code = u32::from_str_radix(digits, 16).map_err(|_| self.wrong("four digits"))?;
                self.at += 4;
                char::from_u32(code).unwrap_or(char::REPLACEMENT_CHARACTER)
            }
            _ => return Err(self.wrong("an escape")),
        })
    }
}

#[cfg(test)]
mod tests {
    use super::Json;

    #[test]
    fn reads_what_cargo_writes() {
        let value =
            Json::parse(r#" {"a": [1.5e3, true, null, "x\"\u00e9\n"], "b": {"c": []}, "d": "C:\\x"} "#)
                .unwrap();
        assert_eq!(value.get("a").list()[0].number(), 1500.0);
        assert_eq!(value.get("a").list()[3].text(), "x\"é\n");
        assert_eq!(value.get("b").get("c").list(), &[]);
        assert_eq!(value.get("d").text(), "C:\\x");
        assert_eq!(value.get("no").get("thing"), &Json::Null);
    }

    #[test]
    fn refuses_what_is_not_json() {
        for text in ["", "{", "[1,", "[1 2]", "{\"a\" 1}", "\"\\q\"", "\"", "nul", "1 2", "1-2"] {
            assert!(Json::parse(text).is_err(), "{text}");
        }
    }
}
