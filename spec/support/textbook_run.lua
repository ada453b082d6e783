-- Runs of the textbook pipeline, each with a store and an output folder of its
-- own, and the texts that specs feed it. What comes out is the specs' concern.

local process = require "process"
local store_file = require "store_file"
local random = require "random"
local wait_until = require "wait_until"
local JobTracker = require("job_tracker").JobTracker

local textbook_run = {}

local function output_of(command)
  local pipe = assert(io.popen(command))
  local text = pipe:read("*a")
  pipe:close()
  return text
end

textbook_run.root = output_of("pwd -P"):gsub("\n", "")

local build = os.getenv("BUILD") or textbook_run.root .. "/build"

---@class TextbookRun
---@field pid integer
---@field out string the folder of the chapter
---@field store string
---@field private stdout string
---@field private stderr string
---@field private reader table? a read-only tracker
local TextbookRun = {}
TextbookRun.__index = TextbookRun

---@type TextbookRun[]
local runs = {}

---Starts the program with the words given, under Lua 5.4 whatever runs the specs.
---@param options table words, and out=, store=, cwd=, stdin=; bare=true: without
---paths of the specs' own
---@return TextbookRun
function textbook_run.start(options)
  local folder = store_file.folder()
  local self = setmetatable({ out = options.out or folder .. "/out",
    store = options.store or folder .. "/jobs.store", stdout = folder .. "/stdout",
    stderr = folder .. "/stderr" }, TextbookRun)
  local command = {
    "env", "--default-signal=INT", os.getenv("LUA54") or "lua5.4",
    textbook_run.root .. "/examples/textbook/main.lua",
    stdout = self.stdout, stderr = self.stderr, stdin = options.stdin, cwd = options.cwd,
    env = { LUA_PATH = false, LUA_CPATH_5_4 = build .. "/5.4/?.so;;" },
  }
  if not options.bare then
    for _, word in ipairs { "--out", self.out, "--store", self.store } do
      command[#command + 1] = word
    end
  end
  for _, word in ipairs(options) do command[#command + 1] = word end
  self.pid = assert(process.spawn(command))
  runs[#runs + 1] = self
  return self
end

---Waits for the end.
---@return string how
---@return integer? code
function TextbookRun:wait()
  local how, code = process.wait(self.pid, 120)
  if how ~= "timeout" then self.pid = nil end
  return how, code
end

---@return string
function TextbookRun:output() return store_file.read(self.stdout) end

---@return string
function TextbookRun:errors() return store_file.read(self.stderr) end

---The job's id, as soon as the program has printed it.
---@return string
function TextbookRun:id()
  return wait_until(function()
    return store_file.exists(self.stdout) and self:output():match("textbook_%x%x%x%x%x%x%x%x")
  end, "the job's id")
end

---The store, as another process with no right to change it sees it.
---@return table
function TextbookRun:tracker()
  if not self.reader then
    self:id()
    self.reader = assert(JobTracker.open(self.store, { readonly = true }))
  end
  return self.reader
end

---The job as it is now.
---@return table
function TextbookRun:job() return assert(self:tracker().get_job(self:id())) end

---Ends and closes whatever is left: for after_each.
function textbook_run.end_all()
  for index = #runs, 1, -1 do
    local run = runs[index]
    if run.pid then
      process.kill(run.pid, "KILL")
      process.wait(run.pid)
    end
    if run.reader then run.reader.close() end
    runs[index] = nil
  end
end

---The names in a folder, one a line, also those that begin with a dot.
---@param folder string
---@return string
function textbook_run.list(folder) return output_of("LC_ALL=C ls -A '" .. folder .. "'") end

-- --------------------------------------------------------------------- texts

local NOUNS = { "lock", "page", "writer", "reader", "kernel", "region", "cell", "heap",
  "record", "fence", "order", "store", "queue", "signal", "process", "thread" }
local VERBS = { "holds", "moves", "copies", "changes", "marks", "finds", "needs" }

local function sentence(numbers)
  local function noun() return numbers:pick(NOUNS) end
  return ("The %s %s the %s, and a %s of the %s %s it."):format(noun(), numbers:pick(VERBS),
    noun(), noun(), noun(), numbers:pick(VERBS))
end

---Prose of no meaning: paragraphs of so many sentences.
---@param paragraphs integer
---@param length integer
---@return string
function textbook_run.prose(paragraphs, length)
  local numbers, lines = random.new(20), {}
  for _ = 1, paragraphs do
    for _ = 1, length do
      lines[#lines + 1] = sentence(numbers) .. " "
    end
    lines[#lines + 1] = "\n\n"
  end
  return table.concat(lines)
end

local function repeated(count, make)
  local pieces = {}
  for index = 1, count do pieces[index] = make(index) end
  return table.concat(pieces, "\n")
end

local JAPANESE = "共有メモリは複数のプロセスが同じ記憶を見る仕組みである。"
  .. "「ミューテックス」とは、同時に一つだけが持てる鍵である。%d番目の読み手は待たない！"
local GERMAN = "Ein Mutex ist eine Sperre, die höchstens ein Prozess hält. Die Größe der "
  .. "Übertragung hängt z. B. vom Kern ab. Ärger gibt es in Lauf Nr. %d selten.\n"

local function structures(prose)
  return {
    ["a single heading"] = { bytes = "# The only one\n\n" .. prose(6, 8),
      title = "The only one" },
    ["thousands of headings"] = { bytes = "# All\n\n" .. repeated(4000, function(index)
      return ("## Part %d\n\n%s"):format(index, prose(1, 2))
    end), title = "All" },
    ["headings of all levels"] = { bytes = repeated(300, function(index)
      return ("#"):rep(1 + index % 6) .. " Level\n\n" .. prose(1, 2)
    end) },
    ["headings of one name"] = { bytes = repeated(12, function()
      return "## Same\n\n" .. prose(1, 10)
    end) },
    ["the chapter's own names as headings"] = { bytes = "# Glossary\n\n"
      .. "## Contents\n\n" .. prose(2, 5) .. "## Glossary\n\n" .. prose(2, 5)
      .. "## 1. Contents\n\n" .. prose(2, 5) .. "## term-lock\n\n" .. prose(2, 5) },
    ["one paragraph of one line"] = { bytes = (prose(1, 300):gsub("\n", "")),
      file = "line.txt" },
    ["lists alone"] = { bytes = repeated(40, function()
      return "- " .. prose(1, 1):gsub("\n", "") .. "\n- " .. prose(1, 1)
    end) },
    ["chapters in capitals"] = { bytes = repeated(6, function(index)
      return ("CHAPTER %s\n\nOF LOCKS AND CELLS\n\n%s"):format(
        ({ "I", "II", "III", "IV", "V", "VI" })[index], prose(3, 6))
    end), file = "novel.txt", holds = { "Chapter IV: Of Locks and Cells" } },
  }
end

local function encodings(prose)
  return {
    ["CRLF, a byte order mark and front matter"] = {
      bytes = ("\239\187\191---\ntitle: \"Über Sperren\"\nby: nobody\n---\nFirst\n=====\n\n"
        .. prose(2, 8) .. "Second\n------\n\n" .. prose(2, 8) .. "Third\n-----\n\n"
        .. prose(3, 8)):gsub("\n", "\r\n"),
      title = "Über Sperren", lacks = { "\r", "nobody" } },
    ["German"] = { bytes = repeated(9, function(index)
      return ("## Über Sperren %d\n\n" .. GERMAN):format(index, index)
    end), holds = { "**Mutex** — Ein Mutex ist eine Sperre", "z. B. vom Kern ab." } },
    ["Japanese without spaces"] = { bytes = repeated(40, function(index)
      return JAPANESE:format(index) .. (index % 5 == 0 and "\n" or "")
    end), file = "text.txt", holds = { "**ミューテックス** — 「ミューテックス」とは" } },
    ["HTML, control characters and hostile links"] = { bytes = "# T\n\n"
      .. "<script>alert(1)</script>\n\nA lock is a [thing](javascript:alert(1)) that "
      .. "[one](../etc/passwd) ![sees](/x.png) <b>bold</b>\1\2 in use.\n\n" .. prose(8, 6),
      lacks = { "javascript", "passwd", "x.png", "<script", "<b>", "\1" } },
  }
end

local function extremes(prose)
  return {
    ["a listing that never ends"] = { bytes = "# T\n\n" .. prose(8, 6) .. "```c\nint x;\n" },
    ["200,000 open brackets"] = { bytes = ("[("):rep(200000) .. "\n\n" .. prose(9, 8),
      file = "text.txt" },
    ["100,000 stray marks"] = { bytes = "# T\n\n" .. ("*a `b _c \"d "):rep(25000) .. "\n\n"
      .. prose(9, 8) },
    ["a word of a million letters"] = { bytes = ("x"):rep(1000000) .. "\n\n" .. prose(9, 8),
      file = "text.txt" },
    ["a heading of 4,000 letters"] = { bytes = "# T\n\n## " .. ("very long "):rep(400)
      .. "\n\n" .. repeated(5, function()
        return "## `code` *em* <x> & \"q\" | [l](http://a.b)\n\n" .. prose(2, 6)
      end) },
  }
end

---Texts that are unlike what one expects, by what they are.
---@return table<string, { bytes: string, file: string?, title: string?, holds: string[]?,
---lacks: string[]? }>
function textbook_run.edge_texts()
  local all = {}
  for _, texts in ipairs { structures, encodings, extremes } do
    for name, text in pairs(texts(textbook_run.prose)) do all[name] = text end
  end
  return all
end

return textbook_run
