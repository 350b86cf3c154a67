//! Columns that look as if they held personal data: a hint from names and values, never a finding.

/// What a value looks like.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Looks {
    /// An e-mail address.
    Email,
    /// An account number by ISO 13616, with its check digits.
    Iban,
    /// A number that a state gives to a person, with its check digits where it has some.
    NationalId,
    /// A phone number.
    Phone,
}

/// How many values look like what.
#[derive(Debug, Clone, Copy, Default, PartialEq, Eq)]
pub struct Hits {
    email: u64,
    iban: u64,
    national: u64,
    phone: u64,
}

impl Hits {
    /// Counts a value.
    pub const fn note(&mut self, looks: Looks) {
        match looks {
            Looks::Email => self.email += 1,
            Looks::Iban => self.iban += 1,
            Looks::NationalId => self.national += 1,
            Looks::Phone => self.phone += 1,
        }
    }

    /// Counts those of other rows too.
    pub const fn add(&mut self, more: &Self) {
        self.email += more.email;
        self.iban += more.iban;
        self.national += more.national;
        self.phone += more.phone;
    }
}

/// Words of column names that speak of persons.
const WORDS: &[(&str, &str)] = &[
    ("name", "a name"),
    ("firstname", "a name"),
    ("forename", "a name"),
    ("surname", "a name"),
    ("lastname", "a name"),
    ("fullname", "a name"),
    ("username", "a name"),
    ("vorname", "a name"),
    ("nachname", "a name"),
    ("email", "an e-mail address"),
    ("mail", "an e-mail address"),
    ("phone", "a phone number"),
    ("telephone", "a phone number"),
    ("telefon", "a phone number"),
    ("mobile", "a phone number"),
    ("handy", "a phone number"),
    ("birth", "a date of birth"),
    ("birthdate", "a date of birth"),
    ("birthday", "a date of birth"),
    ("dob", "a date of birth"),
    ("geburtsdatum", "a date of birth"),
    ("address", "an address"),
    ("street", "an address"),
    ("adresse", "an address"),
    ("strasse", "an address"),
    ("straße", "an address"),
    ("ip", "an address"),
    ("iban", "an account number"),
    ("ssn", "a national id"),
    ("passport", "a national id"),
];
/// Words beside `name` that say that it names a thing.
const THINGS: &[&str] = &[
    "file", "product", "column", "table", "model", "brand", "class", "feature", "step", "host",
    "city", "region", "country", "state", "company", "branch", "shop", "item", "species", "event",
];

/// Says why a column looks personal. `values`: how many of its texts are not empty.
pub fn reason(name: &str, hits: &Hits, values: u64) -> Option<String> {
    let mostly = |count: u64| count.saturating_mul(2) > values;
    for (count, what) in [
        (hits.email, "e-mail addresses"),
        (hits.iban, "account numbers (IBAN)"),
        (hits.national, "national ids"),
        (hits.phone, "phone numbers"),
    ] {
        if mostly(count) {
            return Some(format!("{count} of {values} values look like {what}"));
        }
    }
    let words = words_of(name);
    let thing = words.iter().any(|word| THINGS.contains(&word.as_str()));
    let (word, what) = WORDS
        .iter()
        .find(|(word, _)| words.iter().any(|own| own == word) && !(*word == "name" && thing))?;
    Some(format!("its name says `{word}`: {what}"))
}

/// Splits a column's name into words: `firstName`, `first_name` and `FIRST NAME` are the same two.
pub fn words_of(name: &str) -> Vec<String> {
    let mut words = vec![String::new()];
    let mut lower = false;
    for letter in name.chars() {
        if !letter.is_alphanumeric() || (letter.is_uppercase() && lower) {
            words.push(String::new());
        }
        if letter.is_alphanumeric()
            && let Some(word) = words.last_mut()
        {
            word.extend(letter.to_lowercase());
        }
        lower = letter.is_lowercase();
    }
    words.retain(|word| !word.is_empty());
    words
}

/// Says what a text looks like.
pub fn kind_of(text: &str) -> Option<Looks> {
    // The longest of all is an e-mail address (RFC 5321, 4.5.3.1.3).
    if text.len() < 5 || text.len() > 254 {
        return None;
    }
    let text = text.trim();
    if is_email(text) {
        return Some(Looks::Email);
    }
    if !text.bytes().any(|byte| byte.is_ascii_digit()) {
        return None;
    }
    if is_iban(text) {
        Some(Looks::Iban)
    } else if is_national(text) {
        Some(Looks::NationalId)
    } else if is_phone(text) {
        Some(Looks::Phone)
    } else {
        None
    }
}

fn is_email(text: &str) -> bool {
    let Some((local, domain)) = text.split_once('@') else {
        return false;
    };
    let labels = || domain.split('.');
    let plain = |letter: char| letter.is_alphanumeric() || "!#$%&'*+-/=?^_`{|}~.".contains(letter);
    !local.is_empty()
        && local.chars().all(plain)
        && labels().count() > 1
        && labels().all(|label| {
            !label.is_empty()
                && label
                    .chars()
                    .all(|letter| letter.is_alphanumeric() || letter == '-')
        })
        && labels()
            .next_back()
            .is_some_and(|last| last.chars().count() > 1 && last.chars().all(char::is_alphabetic))
}

/// ISO 13616: the check digits make the number 1 modulo 97.
fn is_iban(text: &str) -> bool {
    let letters: Vec<u8> = text
        .bytes()
        .filter(|byte| *byte != b' ')
        .map(|byte| byte.to_ascii_uppercase())
        .collect();
    let Some((head, rest)) = letters.split_at_checked(4) else {
        return false;
    };
    let country = matches!(head, [a, b, c, d]
        if a.is_ascii_uppercase() && b.is_ascii_uppercase() && c.is_ascii_digit() && d.is_ascii_digit());
    if !country || !(15..=34).contains(&letters.len()) {
        return false;
    }
    let mut remainder = 0_u32;
    for byte in rest.iter().chain(head) {
        let value = match byte {
            b'0'..=b'9' => u32::from(byte - b'0'),
            b'A'..=b'Z' => u32::from(byte - b'A') + 10,
            _ => return false,
        };
        remainder = (remainder * if value > 9 { 100 } else { 10 } + value) % 97;
    }
    remainder == 1
}

/// The numbers of some countries: those that can be told by their form or their check digits.
fn is_national(text: &str) -> bool {
    let bytes = text.as_bytes();
    let digits = |part: &str| part.bytes().all(|byte| byte.is_ascii_digit());
    // United States: 123-45-6789; some areas are never given.
    let parts: Vec<&str> = text.split('-').collect();
    if let [area, group, serial] = parts.as_slice()
        && (area.len(), group.len(), serial.len()) == (3, 2, 4)
        && digits(area)
        && digits(group)
        && digits(serial)
    {
        return *area != "000"
            && *area != "666"
            && !area.starts_with('9')
            && *group != "00"
            && *serial != "0000";
    }
    // Spain: eight digits and a letter that they give.
    if let Some((front, [letter])) = bytes.split_at_checked(8)
        && let Ok(number) = std::str::from_utf8(front)
            .unwrap_or_default()
            .parse::<usize>()
        && front.iter().all(u8::is_ascii_digit)
    {
        return b"TRWAGMYFPDXBNJZSQVHLCKE".get(number % 23) == Some(&letter.to_ascii_uppercase());
    }
    if bytes.len() == 11 && digits(text) {
        return is_pesel(bytes) || is_tax_id(bytes);
    }
    false
}

/// Poland's number: weights 1, 3, 7, 9, and the month, which says the century, is one.
fn is_pesel(digits: &[u8]) -> bool {
    const WEIGHTS: [u32; 11] = [1, 3, 7, 9, 1, 3, 7, 9, 1, 3, 1];
    let sum: u32 = digits
        .iter()
        .zip(WEIGHTS)
        .map(|(digit, weight)| u32::from(digit - b'0') * weight)
        .sum();
    let number = |part: &[u8]| {
        part.iter()
            .fold(0, |number, digit| number * 10 + u32::from(digit - b'0'))
    };
    let month = digits.get(2..4).map_or(0, number) % 20;
    let day = digits.get(4..6).map_or(0, number);
    sum.is_multiple_of(10) && (1..=12).contains(&month) && (1..=31).contains(&day)
}

/// Germany's tax number: ISO/IEC 7064, MOD 11,10; it does not start with 0.
fn is_tax_id(digits: &[u8]) -> bool {
    let Some((last, front)) = digits.split_last() else {
        return false;
    };
    let mut product = 10;
    for digit in front {
        let sum = (u32::from(digit - b'0') + product) % 10;
        product = if sum == 0 { 10 } else { sum } * 2 % 11;
    }
    let check = (11 - product) % 10;
    digits.first() != Some(&b'0') && check == u32::from(last - b'0')
}

/// Seven to fifteen digits (E.164), with a plus sign or a zero before them and a mark between them.
fn is_phone(text: &str) -> bool {
    let first = text.bytes().next();
    if !matches!(first, Some(b'+' | b'0' | b'(')) {
        return false;
    }
    let allowed = |byte: u8| byte.is_ascii_digit() || b" -./()".contains(&byte);
    if !text.bytes().skip(1).all(allowed) {
        return false;
    }
    let digits = text.bytes().filter(u8::is_ascii_digit).count();
    let groups: Vec<usize> = text
        .split(|letter: char| !letter.is_ascii_digit())
        .filter(|group| !group.is_empty())
        .map(str::len)
        .collect();
    // 01.02.2024, 0.1234567
    let date = matches!(groups.as_slice(), [2, 2, 4] | [4, 2, 2]) && digits == 8;
    let fraction = first == Some(b'0') && text.as_bytes().get(1) == Some(&b'.');
    let marked = first == Some(b'+') || groups.len() > 1;
    (7..=15).contains(&digits) && marked && !date && !fraction
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn values_are_told_by_what_they_look_like() {
        for (text, expected) in [
            ("ada@example.com", Some(Looks::Email)),
            ("a.b+c@mail.example.co.uk", Some(Looks::Email)),
            ("ada@example", None),
            ("@example.com", None),
            ("a b@example.com", None),
            ("DE89 3704 0044 0532 0130 00", Some(Looks::Iban)),
            ("GB82WEST12345698765432", Some(Looks::Iban)),
            ("GB82WEST12345698765433", None),
            ("123-45-6789", Some(Looks::NationalId)),
            ("666-45-6789", None),
            ("12345678Z", Some(Looks::NationalId)),
            ("12345678A", None),
            ("44051401359", Some(Looks::NationalId)),
            ("86095742719", Some(Looks::NationalId)),
            ("12345678901", None),
            ("+49 30 901820", Some(Looks::Phone)),
            ("(030) 90 18 20", Some(Looks::Phone)),
            ("030/901820", Some(Looks::Phone)),
            ("01.02.2024", None),
            ("0.12345678", None),
            ("1234567", None),
            ("00501", None),
            ("", None),
            ("ä€ß12", None),
        ] {
            assert_eq!(kind_of(text), expected, "{text}");
        }
    }

    #[test]
    fn names_are_told_by_their_words() {
        for (name, looks) in [
            ("name", true),
            ("first_name", true),
            ("lastName", true),
            ("EMAIL", true),
            ("e_mail", true),
            ("customer name", true),
            ("Straße", true),
            ("hostname", false),
            ("emails_sent_count_x", false),
            ("city", false),
            ("city_name", false),
            ("date of birth", true),
            ("home-address", true),
            ("product_name", false),
            ("surname", true),
            ("renamed", false),
            ("age", false),
            ("", false),
        ] {
            assert_eq!(reason(name, &Hits::default(), 0).is_some(), looks, "{name}");
        }
        let hits = Hits {
            email: 8,
            ..Hits::default()
        };
        assert!(reason("x", &hits, 15).is_some());
        assert!(reason("x", &hits, 16).is_none());
    }
}
