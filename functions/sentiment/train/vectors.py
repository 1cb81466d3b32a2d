"""Writes tests/hash_vectors.jsonl: texts, and the ids that ngrams.py gives them."""

import json

from ngrams import ids
from train import ROOT, read

CHOSEN = [
    "", " ", "\t\r\n", "\u00a0\u2003\u3000", "\u200b", "\ufeff", "\u0000", "a", "No", "no.", "¡No!", "¿Qué?", "...", "…", "- -", "--",
    # Composed and decomposed.
    "está", "esta\u0301", "ni\u00f1o", "nin\u0303o", "NIN\u0303O", "pingüino", "pingu\u0308ino", "\u0301", "\u0301a", "q\u0301\u0323", "q\u0323\u0301",
    "\u212b", "\u00c5", "A\u030a", "\u1e9b\u0323", "\u0958", "\uac00\ub098", "\u1100\u1161", "e\u0301\u0301", "ﬁn", "ﬃ",
    # Lower case.
    "ÁRBOL Ñandú ÜBER", "Straße", "STRASSE", "STRAẞE", "İstanbul", "ISPARTA ısparta", "ΟΔΟΣ", "Σ", "ΑΣ ΑΣ.", "ǅ", "Ω", "\u2126", "K", "\u212a", "Ⓐ", "Ⅷ", "ᏣᎳᎩ", "Ꭰ", "ꭰ", "Ა", "𐐀𐐨", "ŒUVRE Œ", "ŉ", "ǰ", "ΐ", "ΰ", "և", "ẖ", "ᾳ", "ᾼ",
    # Letters, marks and numbers are one token; punctuation and symbols are one each.
    "3,5 €", "1234567890", "m² ½ ①", "10%", "a_b", "a-b", "a\u2010b", "ab\u00adcd", "d'accord", "d’accord", "«hola»", "“hola”", "e-mail@example.com", "http://example.com/a?b=c", "C++", "#bien @tú", "$5", "2º piso", "1ª", "٣ ੩", "〇一二", "x=1+2", "^_^", ":-) :-(", "xD", "<3", "¬¬", "´`¨", "°C", "\u20e3 1\u20e3",
    # Emoji.
    "😀", "❤", "❤\ufe0f", "👍🏽", "👨\u200d👩\u200d👧", "🇪🇸", "🏴\U000e0067\U000e0062\U000e007f", "bien😀bien", "😡😡😡", "©®™", "♥ te quiero ♥",
    # Scripts.
    "Привет мир", "你好,世界", "こんにちは", "안녕하세요", "שלום", "مرحبا بالعالم", "สวัสดี", "नमस्ते", "γειά σου", "Zażółć gęślą jaźń", "hola мир 你好", "a\u202eb", "a\u200db", "𝒽ℴ𝓁𝒶", "ｈｏｌａ", "ª º",
    # Spaces and repetition.
    "uno  dos", " uno dos ", "uno\ndos\ttres", "uno\u2028dos", "ja ja ja ja ja", "aaaaaaaaaaaaaaaaaaaa", "abcdefg", "abcdef", "abcdefgh ijklmnop", "No, no, no.",
    # No code points (Cn), private and last ones.
    "\u0378", "\ue000", "\U0010ffff", "\ufffd", "\uffff",
]  # fmt: skip


def main():
    texts, _ = read("test.csv.gz")
    texts = CHOSEN + [text for text in texts if len(text) < 40][:60] + ["Gracias por todo. " * 40]
    with open(ROOT / "tests/hash_vectors.jsonl", "w", encoding="utf-8") as file:
        for text in texts:
            file.write(json.dumps({"text": text, "ids": ids(text)}, ensure_ascii=False) + "\n")
    print(f"{len(texts)} texts")


if __name__ == "__main__":
    main()
