-- The rooms of the textbook pipeline that read: from bytes to sentences and to what
-- they define, on small texts whose right answer is plain.

package.path = "examples/textbook/?.lua;" .. package.path

local definitions = require "textbook.definitions"
local inline = require "textbook.inline"
local markdown = require "textbook.markdown"
local reader = require "textbook.reader"
local sentences = require "textbook.sentences"
local unicode = require "textbook.unicode"
local words = require "textbook.words"

describe("unicode", function()
  it("finds the first byte that is not UTF-8", function()
    for text, position in pairs {
      ["a\128"] = 2, ["\192\175"] = 1, ["\224\128\175"] = 1, ["é\237\160\128"] = 3,
      ["\244\144\128\128"] = 1, ["abc\226\130"] = 4, ["\245\128\128\128"] = 1,
      ["日本\240\159\152"] = 7, ["\195\195\164"] = 1,
    } do
      assert.equal(position, unicode.invalid_at(text))
    end
    assert.is_nil(unicode.invalid_at("plain, é, 日本, \240\159\152\128, \244\143\191\191"))
  end)

  it("knows cases beyond ASCII", function()
    assert.equal("äöüß éñ łž αω ждё 日本", unicode.lower("ÄÖÜß ÉÑ ŁŽ ΑΩ ЖДЁ 日本"))
    assert.equal("Öl", unicode.capitalized("öl"))
    assert.equal("zaun", unicode.uncapitalized("Zaun"))
    assert.equal("LuaJIT", unicode.uncapitalized("LuaJIT"))
  end)

  it("shortens by characters", function()
    assert.equal("日本…", unicode.shortened("日本語です", 3))
    assert.equal("日本語", unicode.shortened("日本語", 3))
  end)
end)

describe("words", function()
  it("keep no more of the texts they were in than a book has", function()
    local function read(from, upto)
      local text = {}
      for index = from, upto do text[#text + 1] = ("%07x"):format(index) end
      for _, term in ipairs(words.terms(table.concat(text, " "))) do words.telling(term) end
    end
    local function kilobytes()
      for _ = 1, 2 do collectgarbage() end
      return collectgarbage("count")
    end
    local before = kilobytes()
    for from = 1, 400000, 10000 do read(from, from + 9999) end
    assert.is_true(kilobytes() - before < 16 * 1024)
  end)

  it("are lower case, singular, without punctuation", function()
    assert.same({ "the", "writer", "lock", "copy", "on", "write", "entry", "mutex", "bus" },
      words.terms("The writer's LOCKS: “copy-on-write” entries, mutexes… bus!"))
  end)

  it("are characters in Chinese and Japanese, but Katakana stay together", function()
    assert.same({ "共", "有", "メモリ", "は" }, words.terms("共有メモリは。"))
  end)

  it("match as wholes, in any case and number", function()
    local text = words.terms("A Cell of cells. The cellar, a parcel; excellent.")
    assert.equal(2, words.occurrences(text, "cell"))
    assert.equal(1, words.occurrences(text, "cell of cell"))
    assert.equal(0, words.occurrences(text, "cell cell"))
    assert.same({ cell = 2, ["the cellar"] = 1, lock = 0 },
      words.frequencies({ text }, { "cell", "the cellar", "lock" }))
  end)
end)

describe("inline", function()
  local references = { spec = "https://spec.example/a" }

  it("shows what a reader hears", function()
    for line, plain in pairs {
      ["**bold** and *it*, _em_, ~~gone~~"] = "bold and it, em, gone",
      ["`a [b](c)` and snake_case_name"] = "a [b](c) and snake_case_name",
      ["[a *link*](u (v) w) ![no](x.png) here[^1]"] = "a link here",
      ["see [the spec][spec], [spec] and [other][]"] = "see the spec, spec and other",
      ["<b>x</b> <!-- y --> <https://z.example>"] = "x https://z.example",
      ["a &amp; b \\*c\\* 2 * 3"] = "a & b *c* 2 * 3",
    } do
      assert.equal(plain, inline.plain(line, references))
    end
  end)

  it("makes lines that need nothing beside them", function()
    for line, alone in pairs {
      ["[a](b.md), [c](#d), [e](https://f.example)"] = "a, c, [e](https://f.example)",
      ["[the spec][spec] ![x](y.png)[^2]."] = "[the spec](https://spec.example/a).",
      ["[bad](javascript:alert(1)) <i>x</i>"] = "bad x",
      ["half **of a mark"] = "half of a mark",
      ["*whole* and **two**, 2 * 3"] = "*whole* and **two**, 2 * 3",
      ["`code <b> *` stays"] = "`code <b> *` stays",
    } do
      assert.equal(alone, inline.standalone(line, references))
    end
  end)

  it("masks byte for byte", function()
    local line = "A `b. C` [d. E](f. G) <h. I>"
    local mask = inline.masked(line)
    assert.equal(#line, #mask)
    assert.is_nil(mask:find("`", 1, true))
    assert.is_truthy(mask:find("dX E", 1, true))
    assert.is_nil(mask:find("G", 1, true))
  end)
end)

describe("sentences", function()
  local cases = {
    { "One. Two! Three? Four", "One.", "Two!", "Three?", "Four" },
    { "See e.g. Fig. 3 by Dr. A. Smith. It ends.", "See e.g. Fig. 3 by Dr. A. Smith.",
      "It ends." },
    { "Ver. 3.14 is `a. B` and [c. D](e. F). `g` too.",
      "Ver. 3.14 is `a. B` and [c. D](e. F).", "`g` too." },
    { "Er kam, z. B. am 3. Mai. Öfter nicht.", "Er kam, z. B. am 3. Mai.", "Öfter nicht." },
    { "(All. Of it.) He said “Go. Now.” Then *left. Fast.* End.", "(All. Of it.)",
      "He said “Go. Now.”", "Then *left. Fast.*", "End." },
    { "これは文。「はい。」と言った！終わり", "これは文。", "「はい。」と言った！", "終わり" },
    { "We have a lot, etc. and more. [Next](https://a.example) one.",
      "We have a lot, etc. and more.", "[Next](https://a.example) one." },
  }
  for _, case in ipairs(cases) do
    it("cut: " .. case[1], function()
      local expected = { (table.unpack or unpack)(case, 2) } -- luacheck: ignore 113
      assert.same(expected, sentences.split(case[1]))
    end)
  end

  it("are complete when they end", function()
    for text, complete in pairs { ["A."] = true, ["A"] = false, ["A:"] = false,
        ["“A!”"] = true, ["文。"] = true, ["「文。」"] = true, ["あ」"] = false,
        ["ü’"] = false, ["**A.**"] = true } do
      assert.equal(complete, sentences.is_complete(text))
    end
  end)
end)

describe("markdown", function()
  local function kinds(text, plain)
    local list = {}
    for index, block in ipairs((markdown.parse(text, plain))) do
      list[index] = block.kind .. (block.level or "")
    end
    return table.concat(list, " ")
  end

  it("tells blocks apart", function()
    assert.equal("heading1 paragraph heading2 paragraph list code table quote paragraph",
      kinds("Title\n===\n\ntext\nmore\n\n## Two ##\ntext\n\n- a\n- b\n\n  c\n\n```c\n# no\n```\n"
        .. "\n| a | b |\n|---|---|\n| 1 | 2 |\n\n> q\n> r\n\n---\n\n<div>\n</div>\n\nend\n"))
  end)

  it("takes indented text for code only in Markdown", function()
    assert.equal("paragraph code", kinds("a\n\n    b\n"))
    assert.equal("paragraph paragraph", kinds("a\n\n    b\n", true))
  end)

  it("keeps prose that looks like a list", function()
    assert.equal("paragraph", kinds("It was in the year\n1986. Then\n"))
    assert.equal("paragraph list", kinds("Three things:\n1. one\n2. two\n"))
  end)

  it("keeps the depth and the code of items", function()
    local list = markdown.parse("1. a\n   - b\n     c\n2. d\n\n   ```\n   x\n   ```\n")[1]
    assert.same({ "a", "b c", "d" }, { list.items[1].text, list.items[2].text,
      list.items[3].text })
    assert.same({ 0, 1, 0 }, { list.items[1].depth, list.items[2].depth, list.items[3].depth })
    assert.equal("```", list.items[3].code[1]:match("%S+"))
  end)

  it("collects references and drops footnotes", function()
    local blocks, references = markdown.parse("[A b]: <https://x.example> 't'\n\n[^1]: no\n")
    assert.same({}, blocks)
    assert.same({ ["a b"] = "https://x.example" }, references)
  end)
end)

describe("reader", function()
  it("takes off what is not text", function()
    local text, title = reader.clean("\239\187\191---\r\ntitle: 'A b'\r\nx: y\r\n---\r\nC\fd\1\r\n")
    assert.same({ "C\n\nd\n", "A b" }, { text, title })
    assert.equal("---\n\na: b\n", (reader.clean("---\n\na: b")))
  end)

  it("takes off the licence around a book", function()
    assert.equal("\nThe book.\n", (reader.clean("Legal.\n*** START OF THE EBOOK X ***\n\n"
      .. "The book.\n*** END OF THE EBOOK X ***\nMore.\n")))
  end)
end)

describe("definitions", function()
  local function term_of(sentence)
    local found = definitions.of_sentence(sentence, inline.plain(sentence))
    return found and found.term
  end

  it("are found in sentences that define", function()
    for sentence, term in pairs {
      ["A cell is a word of the index."] = "cell",
      ["The **store buffer** is a queue that hides the memory."] = "store buffer",
      ["Such a value, which tears, is called a *torn read*."] = "torn read",
      ["Recovery means that the derived data is computed again."] = "Recovery",
      ["By a page we mean a run of addresses."] = "page",
      ["It goes into a **queue**, a list that two ends share."] = "queue",
      ["Ein Mutex ist eine Sperre."] = "Mutex",
      ['A "covered work" means the program or a work on it.'] = "covered work",
      ["To “convey” a work means to pass it on."] = "convey",
      ['It is called the author\'s "draft version".'] = "draft version",
      ["Unter einem Zaun versteht man eine Anweisung."] = "Zaun",
      ["「鍵」とは、道具である。"] = "鍵",
    } do
      assert.equal(term, term_of(sentence))
    end
  end)

  it("are not found in others", function()
    for _, sentence in ipairs {
      "It is a pity.", "This is the reason.", "The result is a mess.", "What is a cell?",
      "The cell is the only one.", "System design is a broad topic.", "There is a cell.",
      "A cell like this one is a word.", "The **cell** is useful.", "Cells are small.",
    } do
      assert.is_nil(term_of(sentence), sentence)
    end
  end)

  it("are found in lists", function()
    for item, expected in pairs {
      ["**Cell**: a word of the index"] = { "Cell", "A word of the index" },
      ["**Cell.** A word of the index"] = { "Cell", "A word of the index" },
      ["`cell` — a word of the index"] = { "cell", "A word of the index" },
      ["cell - a word of the index"] = { "cell", "A word of the index" },
    } do
      local found = definitions.of_item(item)
      assert.same(expected, { found.term, found.text })
    end
    assert.is_nil(definitions.of_item("a plain item of five words"))
  end)
end)
