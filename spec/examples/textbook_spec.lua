-- The textbook pipeline as a person and a watching process see it: real runs of
-- the program, its job read from here through a read-only tracker. What its rooms
-- do is in textbook_reading_spec.lua and textbook_rooms_spec.lua.

package.path = "examples/textbook/?.lua;" .. package.path

local process = require "process"
local store_file = require "store_file"
local textbook = require "textbook_run"
local wait_until = require "wait_until"
local inline = require "textbook.inline"
local sentences = require "textbook.sentences"
local JobTracker = require("job_tracker").JobTracker

after_each(textbook.end_all)
after_each(store_file.clean)

local DEFAULT_TEXT = "examples/textbook/shared_memory.md"

local function chapter_of(run) return store_file.read(run.out .. "/chapter.md") end

-- The chapter without its listings, which hold neither headings nor links.
local function without_listings(chapter)
  return (chapter:gsub("\n```[^\n]*\n.-\n```\n", "\n"))
end

local function section_titles(chapter)
  local titles = {}
  for number, title in without_listings(chapter):gmatch("\n## (%d+)%. ([^\n]+)") do
    titles[tonumber(number)] = title
  end
  return titles
end

-- The names that links can reach, by the rules of GitHub, written apart from the
-- example's own.
local function anchors_of(chapter)
  local anchors, taken = {}, {}
  for line in without_listings(chapter):gmatch("[^\n]+") do
    local title = line:match("^#+ (.+)$")
    if title then
      local slug = title:lower():gsub("Ü", "ü"):gsub("\226\128[\147\148\156\157]", "")
        :gsub("[^%w _\128-\255-]", ""):gsub(" ", "-")
      local count = taken[slug]
      taken[slug] = (count or 0) + 1
      anchors[count and slug .. "-" .. count or slug] = true
    end
    for id in line:gmatch('<a id="([^"]+)">') do anchors[id] = true end
  end
  return anchors
end

local function check_links(run, chapter)
  local anchors, checked = anchors_of(chapter), 0
  local text = without_listings(chapter):gsub("`[^`\n]*`", "")
  for target in text:gmatch("%]%(([^)%s]+)%)") do
    local anchor = target:match("^#(.+)$")
    if anchor then
      assert.is_true(anchors[anchor], "nothing is called #" .. anchor)
    elseif not target:find("^https?://") then
      assert.is_true(store_file.exists(run.out .. "/" .. target), target)
    end
    checked = checked + 1
  end
  assert.is_true(checked > 5)
end

-- The text without marks and breaks, to look sentences up in.
local function bare(text)
  text = inline.plain(text:gsub("\n[> ]*", " "), {})
  return (text:gsub("[*_`\\%s]", ""))
end

-- Every kept sentence stands in the source, whole.
local function check_sentences(chapter, source, fewest)
  local reference, checked = bare(source), 0
  local body = without_listings(chapter):match("\n## 1%. .-\n(.*)\n## Glossary\n")
  for paragraph in body:gmatch("[^\n]+") do
    if not paragraph:find("^[#*|>-]") and not paragraph:find("^%d+%. ") then
      for _, sentence in ipairs(sentences.split(paragraph)) do
        assert.is_truthy(reference:find(bare(sentence), 1, true), sentence)
        assert.is_true(sentences.is_complete(sentence) or sentence:find(":$") ~= nil, sentence)
        checked = checked + 1
      end
    end
  end
  assert.is_true(checked >= fewest, checked .. " sentences")
end

-- All that must be true of any chapter that is there.
local function check_success(run)
  local how, code = run:wait()
  assert.same({ "exit", 0 }, { how, code }, run:errors())
  assert.equal("", run:errors())
  local job = run:job()
  assert.equal("completed", job.status)
  assert.equal(1, job.progress)
  local chapter, result = chapter_of(run), job.result
  local titles = section_titles(chapter)
  assert.is_true(#titles >= 5 and #titles <= 8, #titles .. " sections")
  assert.equal(#titles, result.sections)
  assert.equal(run.out .. "/chapter.md", result.chapter)
  assert.equal(run.out .. "/figure.svg", result.figure)
  assert.is_truthy(store_file.read(result.figure):find("^<svg .*</svg>\n$"))
  local _, entries = chapter:match("\n## Glossary\n(.*)$"):gsub('<a id="term%-', "")
  assert.equal(entries, result.terms)
  assert.is_true(entries > 0)
  check_links(run, chapter)
  -- Nothing else is left in the folder.
  assert.equal("chapter.md\nfigure.svg\n", textbook.list(run.out))
  return job, chapter
end

describe("the textbook pipeline", function()
  it("makes a chapter of its own text, from any working directory", function()
    local run = textbook.start { cwd = store_file.folder() }
    local job, chapter = check_success(run)
    local source = store_file.read(DEFAULT_TEXT)
    assert.is_true(job.meta.words > 3000)
    assert.equal("Memory that two processes share", job.meta.title)
    assert.equal(textbook.root .. "/" .. DEFAULT_TEXT, (job.meta.source:gsub("/%./", "/")))
    assert.equal(job.meta.words, job.result.words.source)
    assert.is_true(job.result.words.chapter < job.result.words.source / 2)
    assert.equal("textbook", job.task_type)
    -- The author's own headings, in his order.
    local position = 1
    for _, title in ipairs(section_titles(chapter)) do
      position = source:find("\n## " .. title .. "\n", position, true)
      assert.is_truthy(position, title)
    end
    check_sentences(chapter, source, 60)
    for listing in chapter:gmatch("\n```c\n(.-)\n```\n") do
      assert.is_truthy(source:find(listing, 1, true), listing)
    end
    assert.is_truthy(chapter:find("\n```c\n"))
    for _, term in ipairs { "futex", "page", "robust mutex", "ABA problem" } do
      assert.is_truthy(chapter:find("**" .. term .. "** — ", 1, true), term)
    end
  end)

  it("makes one of a README", function()
    local run = textbook.start { "README.md" }
    local _, chapter = check_success(run)
    check_sentences(chapter, store_file.read("README.md"), 8)
  end)

  it("makes one of plain text without headings", function()
    local source = store_file.read(DEFAULT_TEXT):gsub("\n```.-\n```\n", "\n")
      :gsub("\n#+ [^\n]*\n", "\n"):gsub("\n|[^\n]*", ""):gsub("[*`]", "")
      :gsub("%[([^%]]*)%]%([^)]*%)", "%1"):gsub("^# [^\n]*\n", "")
    local path = store_file.folder() .. "/some_essay.txt"
    store_file.write(path, source)
    local job, chapter = check_success(textbook.start { path })
    assert.equal("Some essay", job.meta.title)
    check_sentences(chapter, source, 60)
    -- Each section has a name of its own, made of its own words.
    local seen = {}
    for _, title in ipairs(section_titles(chapter)) do
      assert.is_nil(seen[title], title)
      seen[title] = true
      for word in title:gmatch("%a%a%a%a+") do
        assert.is_truthy(source:lower():find(word:lower(), 1, true), word)
      end
    end
  end)

  it("reads the text from standard input", function()
    local run = textbook.start { "-", stdin = DEFAULT_TEXT }
    local job, chapter = check_success(run)
    assert.equal("-", job.meta.source)
    assert.is_truthy(chapter:find("standard input", 1, true))
  end)

  for name, text in pairs(textbook.edge_texts()) do
    it("makes one of " .. name, function()
      local path = store_file.folder() .. "/" .. (text.file or "text.md")
      store_file.write(path, text.bytes)
      local job, chapter = check_success(textbook.start { path })
      if text.title then assert.equal(text.title, job.meta.title) end
      for _, piece in ipairs(text.holds or {}) do
        assert.is_truthy(chapter:find(piece, 1, true), piece)
      end
      for _, piece in ipairs(text.lacks or {}) do
        assert.is_nil(chapter:find(piece, 1, true), piece)
      end
      assert.is_true(#chapter < 60000)
    end)
  end

  it("takes several MB in seconds", function()
    local path = store_file.folder() .. "/long.txt"
    store_file.write(path, textbook.prose(9000, 5))
    local began = process.now()
    local job = check_success(textbook.start { path })
    assert.is_true(job.meta.words > 500000)
    assert.is_true(process.now() - began < 60)
  end)
end)

describe("a text that cannot be used fails the job:", function()
  local function check_failure(run, message)
    local how, code = run:wait()
    assert.same({ "exit", 1 }, { how, code })
    local job = run:job()
    assert.equal("failed", job.status)
    assert.is_truthy(job.error:find(message, 1, true), job.error)
    assert.equal("textbook: " .. job.error .. "\n", run:errors())
    assert.is_true(job.progress < 1)
    assert.is_nil(job.result)
    return job
  end

  local cases = {
    { "an empty one", "", "it is empty" },
    { "blanks alone", " \n\t\r\n\n", "it is empty" },
    { "a byte order mark alone", "\239\187\191\n", "it is empty" },
    { "a binary", "\127ELF\2\1\1\0\0\0", "it is binary, not text: a NUL at byte 8" },
    { "Latin-1", "one\ntwo\nna\239ve", "it is not UTF-8 text: byte 11, in line 3, is 0xEF" },
    { "a broken character at the end", "Gr\195\188\195", "byte 5, in line 1, is 0xC3" },
    { "UTF-16", "\255\254T\0e\0x\0t\0", "it is UTF-16, not UTF-8" },
    { "one that is too short", "A sentence. Another one.", "too short for a chapter" },
    { "headings without text", "# A\n\n## B\n\n## C\n", "too short for a chapter" },
    { "code alone", "# A\n\n```c\nint main(void) { return 0; }\n```\n", "too short" },
  }
  for _, case in ipairs(cases) do
    it(case[1], function()
      local path = store_file.folder() .. "/text.md"
      store_file.write(path, case[2])
      local run = textbook.start { path }
      local job = check_failure(run, case[3])
      assert.is_falsy(store_file.exists(run.out .. "/chapter.md"))
      assert.equal(path, job.meta.source)
    end)
  end

  it("one that is not there", function()
    check_failure(textbook.start { "/no/such/text.md" },
      "cannot read /no/such/text.md: No such file or directory")
  end)

  it("a folder", function()
    check_failure(textbook.start { store_file.folder() }, "Is a directory")
  end)

  it("one without end", function()
    check_failure(textbook.start { "/dev/zero" }, "/dev/zero is larger than 64 MiB")
  end)

  it("and leaves an earlier chapter as it was", function()
    local first = textbook.start {}
    check_success(first)
    local before = chapter_of(first)
    check_failure(textbook.start { "/no/such", out = first.out }, "cannot read")
    assert.equal(before, chapter_of(first))
    assert.equal("chapter.md\nfigure.svg\n", textbook.list(first.out))
  end)

  it("so does an output folder that cannot be made", function()
    local file = store_file.folder() .. "/file"
    store_file.write(file, "in the way")
    check_failure(textbook.start { out = file .. "/below" }, "reading: cannot make the output folder")
  end)
end)

describe("whoever watches the job", function()
  it("sees it move forward, step by step, and never back", function()
    local run = textbook.start { "--pace", "0.02" }
    local id = run:id()
    local tracker = run:tracker()
    local version, progress, steps, statuses = 0, 0, {}, {}
    local moves = 0
    repeat
      local job = assert(tracker.wait_job(id, { after = version, timeout = 30 }))
      assert.is_true(job.version > version)
      assert.is_true(job.progress >= progress, job.current_step)
      if job.progress > progress then moves = moves + 1 end
      version, progress = job.version, job.progress
      steps[#steps + 1] = job.current_step
      statuses[job.status] = true
    until job.status ~= "pending" and job.status ~= "running"
    check_success(run)
    assert.is_true(statuses.running and statuses.completed)
    assert.is_true(moves >= 12, moves .. " moves")
    -- A watcher sees the latest state, and may be late: all of them are on the terminal only.
    local all = run:output()
    for _, wanted in ipairs { "reading: shared_memory.md", "outline: %d+ headings",
        "division: 8 sections", "sections 2/8: Operations that cannot be torn",
        "glossary: %d+ terms", "figure", "chapter",
        "validation: check 5 of 6, every link resolves", "publication", "Completed" } do
      assert.is_truthy(all:find(wanted), wanted .. " is not in:\n" .. all)
    end
    -- What the terminal showed is what the job said.
    for _, step in ipairs(steps) do
      if step ~= "Initializing" then
        assert.is_truthy(run:output():find("] " .. step .. "\n", 1, true), step)
      end
    end
  end)

  it("knows the source before it is read, and its words after", function()
    local run = textbook.start { "--pace", "0.05" }
    local tracker, id = run:tracker(), run:id()
    local job = assert(wait_until(function()
      local now = tracker.get_job(id)
      return now.meta and now.meta.source and now
    end, "the job's source"))
    assert.is_truthy(job.meta.source:find("shared_memory.md", 1, true))
    wait_until(function() return tracker.get_job(id).meta.words end, "the number of words")
    assert.equal("running", tracker.get_job(id).status)
    check_success(run)
  end)

  it("stops the pipeline by deleting the job", function()
    local run = textbook.start { "--pace", "3600" }
    local id = run:id()
    local tracker = assert(JobTracker.open(run.store))
    wait_until(function() return tracker.get_job(id).status == "running" end, "the start")
    assert.is_true(tracker.delete_job(id))
    tracker.close()
    assert.same({ "exit", 1 }, { run:wait() })
    assert.equal("textbook: the job was deleted\n", run:errors())
    assert.is_falsy(store_file.exists(run.out .. "/chapter.md"))
  end)

  it("stops it by a wish to cancel", function()
    local run = textbook.start { "--pace", "3600" }
    local id = run:id()
    local tracker = assert(JobTracker.open(run.store))
    wait_until(function() return tracker.get_job(id).status == "running" end, "the start")
    assert.is_true(tracker.cancel_job(id, "a typing error"))
    assert.same({ "exit", 1 }, { run:wait() })
    tracker.close()
    assert.equal("textbook: cancelled: a typing error\n", run:errors())
    assert.same({ "failed", "cancelled: a typing error" }, { run:job().status, run:job().error })
  end)

  it("sees a pipeline that was killed as failed", function()
    local run = textbook.start { "--pace", "3600" }
    local tracker, id = run:tracker(), run:id()
    wait_until(function() return tracker.get_job(id).status == "running" end, "the start")
    process.kill(run.pid, "KILL")
    run:wait()
    local job = run:job()
    assert.equal("failed", job.status)
    assert.is_truthy(job.error:find("reading", 1, true), job.error)
  end)

  it("learns that a person pressed Ctrl-C", function()
    local run = textbook.start { "--pace", "3600" }
    local tracker, id = run:tracker(), run:id()
    wait_until(function() return tracker.get_job(id).status == "running" end, "the start")
    process.kill(run.pid, "INT")
    assert.same({ "exit", 130 }, { run:wait() })
    assert.same({ "failed", "interrupted" }, { run:job().status, run:job().error })
  end)
end)

describe("the command line", function()
  local function check_exit(expected, options)
    local run = textbook.start(options)
    local how, code = run:wait()
    assert.same({ "exit", expected }, { how, code }, run:errors())
    return run:output(), run:errors()
  end

  it("explains itself", function()
    local output, errors = check_exit(0, { "--help" })
    for _, word in ipairs { "--store", "--out", "--pace", "--quiet", "Exit codes" } do
      assert.is_truthy(output:find(word, 1, true), word)
    end
    assert.equal("", errors)
  end)

  it("refuses what it does not know", function()
    for words, message in pairs {
      ["--pase 1"] = "unknown option --pase", ["a b"] = "one text at a time, got a and b",
      ["--pace"] = "--pace needs a value", ["--pace -1"] = "--pace must be a number of",
      ["--pace nan"] = "--pace must be a number of", ["--store="] = "--store needs a value",
    } do
      local options = { bare = true }
      for word in words:gmatch("%S+") do options[#options + 1] = word end
      local output, errors = check_exit(2, options)
      assert.is_truthy(errors:find(message, 1, true), errors)
      assert.equal("", output)
    end
  end)

  it("prints the job's id, and nothing else if told to be quiet", function()
    local output = check_exit(0, { "--quiet" })
    assert.is_truthy(output:find("^textbook_%x%x%x%x%x%x%x%x\n$"), output)
    output = check_exit(0, {})
    assert.is_truthy(output:find("^job textbook_%x+ in "), output)
    assert.is_truthy(output:find("\n%[100%%%] Completed\n"), output)
    assert.is_truthy(output:find("/chapter.md: [%d,]+ words in %d sections, %d+ terms, from "), output)
  end)

  it("says when the store cannot be used", function()
    local folder = store_file.folder()
    store_file.write(folder .. "/no_store", ("no store "):rep(1000))
    local _, errors = check_exit(3, { store = folder .. "/no_store" })
    assert.is_truthy(errors:find("^textbook: .*no_store"), errors)
    check_exit(3, { store = folder })
  end)
end)
