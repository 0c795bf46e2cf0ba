"""Texts that tokenizers get wrong, and random mixtures of them, for the oracles of tests/text. Only characters that Unicode 14 has: newer
ones are letters to one library and unassigned to another."""
import random
import unicodedata

PIECES = [
    *("the Hello WORLD don't I'LL we've it'S camelCase HTTPServer ＡＢＣ naïve Ä ß ſ été Привет МИР ΑΒΓδ 你好 世界 こんにちは カタカナ 한국어 ㄱㄴ ไทย").split(),
    *("हिन्दी नमस्ते العربية שלום ქართული Ა 1 12 123 1234 12345678 ½ ² Ⅷ ٣٤٥٦ १२३४ 𝟘𝟙𝟚𝟛 😀 👩‍💻 🇩🇪 ... !!! ? ' \" ( ) [ ] { } < = > + - * / \\").split(),
    *("| ^ ~ ` $ € # @ % & _ – “ ” 。 、 ， ！ 〜 's 'T 'Re ʼ ǅ ʰ ª 𐐀 𐐨 𠀀 㐀 豈 ｶﾅ <sentinel:12> IMGIMGABZ 〇 々 ㍿").split(),
    *(" ", "  ", "   ", "     ", "\t", "\n", "\r\n", "\r", "\n\n", "\n \n", "\v", "\f", "\u3000", "\u00a0", "\u2003", "\u2028", "\u200b", "\u0085"),
    *("\u180e", "e\u0301", "a\u0300\u0301", "\u0301", "\x01", "\x1a", "\ufffd", "\ue000"),
]

FIXED = [
    "",
    "Hello, y'all! How are you 😁 ?我想在apple工作1314151天～",
    "   leading and trailing   ",
    "a  b   c    d\t\te\n\nf\r\n\r\ng \n h",
    "x = [1, 22, 333, 4444, 55555, 1234567890]; // ok?\n\tif (x != 3.14) { return 'it''s'; }\n",
    "IT'S we'LL I'm you'd THEY'VE 'tis ''s 'S'",
    "eee\u0301\u0301 \u0301x \u0301\u0301 1\u0301",
    "1 12 123 1234 12345 123456 1234567 a1234b 12345678\u0663\u0664 1\u00bd2 1234\u00bd5678",
    "<sentinel:7><sentinel:x>IMGIMGABZIMGIMGABCDEFZ",
    "\r\r\n\n\r \r\n \n\u2028\u2029\u0085x",
    "HelloWorldFOOBarбАЗ ПриветМИР ǅungla ʰʰA ªB",
    "漢字かなカナ〇々 𠀀㐀豈ABC한글ㄱㄴㄷไทยລາວខ្មែរမြန်မာ",
    "......!!!???---===<<<>>>~~~```$$$^^^|||+++\u2018\u2019\u201c\u201d\u2026",
    "/path/to/file.txt?query=1&b=2#frag \\n \\t C:\\dir\n//\n/*\r\n*/",
]


def mixtures(seed, count):
    """`count` random texts of up to 14 parts: words, blanks, repetitions, ASCII noise, any assigned character."""
    draw = random.Random(seed)
    assigned = [chr(c) for c in range(0x20, 0x30000) if unicodedata.category(chr(c)) not in ("Cn", "Cs", "Co")]
    texts = []
    for _ in range(count):
        text = ""
        for _ in range(draw.randint(1, 14)):
            kind = draw.random()
            if kind < 0.6:
                text += draw.choice(PIECES)
            elif kind < 0.75:
                text += " "
            elif kind < 0.8:
                text += draw.choice(PIECES) * draw.randint(2, 6)
            elif kind < 0.9:
                text += "".join(chr(draw.randint(33, 126)) for _ in range(draw.randint(1, 5)))
            else:
                text += draw.choice(assigned)
        texts.append(text)
    return texts


def long_runs(seed, count):
    """Runs of blanks, letters, digits and marks up to 2000 long, several a text."""
    draw = random.Random(seed)
    units = [" ", " ", "\n", "\t", "a", "Z", "7", ".", "\u3000", "\r\n", " \n", "\u0301", "世"]
    return ["".join(draw.choice(units) * draw.choice([1, 2, 3, 100, 511, 512, 513, 2000]) for _ in range(draw.randint(1, 6))) for _ in range(count)]
