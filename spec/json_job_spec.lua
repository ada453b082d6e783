-- The JSON text of a job: what it holds, in which order, and that any reader
-- can read it whatever the bytes in its texts.

local cjson = require "cjson"
local exact = require "exact"
local misuse = require "misuse"
local random = require "random"
local utf8_text = require "utf8_text"
local job_tracker = require "job_tracker"
local JobTracker, null = job_tracker.JobTracker, job_tracker.null

local SEED = 4711
local REPLACEMENT = "\239\191\189"

local FIELDS = { "task_id", "task_type", "status", "progress", "current_step", "result",
  "error", "meta", "cancel_requested", "created_at", "updated_at", "started_at", "finished_at",
  "version" }

local task_id

before_each(function()
  JobTracker.clear_jobs()
  task_id = JobTracker.create_job("json")
end)

after_each(function() JobTracker.clear_jobs() end)

local function update(fields) assert.is_true(JobTracker.update_job(task_id, fields)) end

---The JSON text, after checking that both ways to it agree and that it is UTF-8.
local function json_text()
  local text, version = JobTracker.get_json(task_id)
  local job = JobTracker.get_job(task_id)
  assert.equal(job.version, version)
  assert.equal(job:to_json(), text)
  assert.is_true(utf8_text.is_valid(text))
  assert.is_nil(text:find("[%z\1-\31]"), "a raw control character")
  return text
end

---What an independent reader finds in the JSON text.
local function decoded() return cjson.decode(json_text()) end

describe("get_json for a caller who knows a version", function()
  it("gives false and the version if it is the job's, else the text", function()
    local text, version = JobTracker.get_json(task_id)
    assert.same({ false, version }, { JobTracker.get_json(task_id, version) })
    assert.same({ false, version }, { JobTracker:get_json(task_id, version) })
    for _, other in ipairs({ version - 1, version + 1, 0, 2 ^ 53 }) do
      assert.same({ text, version }, { JobTracker.get_json(task_id, other) })
    end
    assert.same({ text, version }, { JobTracker.get_json(task_id, nil) })
    update({ progress = 0.5 })
    local later, newer = JobTracker.get_json(task_id, version)
    assert.is_true(newer > version)
    assert.equal(JobTracker.get_job(task_id):to_json(), later)
  end)

  it("gives nil for an id that there is not, whatever is known of it", function()
    local _, version = JobTracker.get_json(task_id)
    JobTracker.delete_job(task_id)
    assert.equal(1, select("#", JobTracker.get_json(task_id, version)))
    assert.is_nil((JobTracker.get_json(task_id, version)))
  end)

  it("refuses what is no version", function()
    for _, bad in ipairs({ -1, 0.5, "1", false, {}, 0 / 0 }) do
      misuse(function() JobTracker.get_json(task_id, bad) end, "get_json: known")
    end
  end)
end)

describe("the JSON of a job", function()
  it("is one object with all fields in a fixed order", function()
    update({ status = "completed", result = { 1 }, error = "e", meta = { m = 1 } })
    local text = json_text()
    assert.equal("{", text:sub(1, 1))
    assert.equal("}", text:sub(-1))
    local from = 1
    for _, field in ipairs(FIELDS) do
      local first, last = text:find('"' .. field .. '":', from, true)
      assert.is_not_nil(first, field .. " after what comes before it, in " .. text)
      from = last
    end
  end)

  it("shows absent fields as null, in the same order", function()
    local pattern = '^{"task_id": ?"' .. task_id .. '", ?"task_type": ?"json", ?'
      .. '"status": ?"pending", ?"progress": ?0%.?0?, ?"current_step": ?"Initializing", ?'
      .. '"result": ?null, ?"error": ?null, ?"meta": ?null, ?"cancel_requested": ?null, ?"created_at": ?"[^"]*", ?'
      .. '"updated_at": ?"[^"]*", ?"started_at": ?null, ?"finished_at": ?null, ?'
      .. '"version": ?%d+}$'
    assert.matches(pattern, json_text())
    local job = decoded()
    for _, field in ipairs({ "result", "error", "meta", "cancel_requested", "started_at",
      "finished_at" }) do
      assert.equal(cjson.null, job[field], field)
    end
  end)

  it("has the fourteen fields and no other", function()
    local names, expected = {}, {}
    for name in pairs(decoded()) do names[#names + 1] = name end
    for index, name in ipairs(FIELDS) do expected[index] = name end
    table.sort(names)
    table.sort(expected)
    assert.same(expected, names)
  end)

  it("says to another reader what to_dict says", function()
    update({ status = "running", progress = 0.125, current_step = "Überblick \"1\"\n" })
    update({ status = "failed", error = "C:\\path\t\"quoted\"", result = { { "x" }, "y" },
      meta = { user = "ada", nested = { list = { 1, 2, 3 }, flag = false } } })
    assert.same(JobTracker.get_job(task_id):to_dict(null), decoded())
  end)

  it("says so of a new and of a completed job as well", function()
    assert.same(JobTracker.get_job(task_id):to_dict(null), decoded())
    update({ status = "completed", result = "done" })
    assert.same(JobTracker.get_job(task_id):to_dict(null), decoded())
  end)

  it("shows progress with the fewest digits", function()
    for progress, text in pairs({ [0.1] = "0.1", [0.35] = "0.35", [0.5] = "0.5" }) do
      update({ progress = progress })
      assert.matches('"progress": ?' .. text:gsub("%.", "%%.") .. ",", json_text())
    end
    for _, progress in ipairs({ 1 / 3, 0.1 + 0.2, 2 ^ -30, 1 - 2 ^ -53, 1 }) do
      update({ progress = progress })
      assert.equal(progress, decoded().progress)
    end
  end)

  it("shows the version as a whole number", function()
    update({ progress = 0.1 })
    local version = JobTracker.get_job(task_id).version
    assert.matches('"version": ?' .. ("%d"):format(version) .. "}$", json_text())
  end)

  it("shows result and meta as JSON, not as texts of JSON", function()
    update({ result = { 1, { a = "b" } }, meta = "text" })
    local job = decoded()
    assert.same({ 1, { a = "b" } }, job.result)
    assert.equal("text", job.meta)
  end)

  it("shows false, empty texts and empty tables as such", function()
    update({ result = false, error = "", meta = {}, current_step = "" })
    local job = decoded()
    assert.is_false(job.result)
    assert.equal("", job.error)
    assert.equal("", job.current_step)
    assert.same({}, job.meta)
    assert.matches('"meta": ?{}', json_text())
  end)

  it("is the same text for the same version", function()
    update({ meta = { a = 1, b = 2, c = 3, d = { 4 } } })
    local text = json_text()
    for _ = 1, 10 do assert.equal(text, json_text()) end
  end)
end)

describe("in the JSON of a job, error and current_step", function()
  local function expect_text(bytes, shown)
    update({ error = bytes, current_step = bytes })
    local job = decoded()
    assert.equal(shown, job.error)
    assert.equal(shown, job.current_step)
    assert.equal(bytes, JobTracker.get_job(task_id).error)
  end

  it("show every ASCII character, NUL among them", function()
    local all = {}
    for byte = 0, 127 do all[byte + 1] = string.char(byte) end
    expect_text(table.concat(all), table.concat(all))
    expect_text("\0", "\0")
  end)

  it("show every kind of UTF-8", function()
    for _, text in ipairs({ "\194\128", "\224\160\128", "\237\159\191", "\239\191\191",
      "\240\144\128\128", "\244\143\191\191", "Überblick", "\226\128\168" }) do
      expect_text(text, text)
      expect_text("a" .. text .. "\0" .. text, "a" .. text .. "\0" .. text)
    end
  end)

  it("show U+FFFD for a byte that is not UTF-8", function()
    expect_text("\255", REPLACEMENT)
    expect_text("a\255b", "a" .. REPLACEMENT .. "b")
    expect_text("\128a\254", REPLACEMENT .. "a" .. REPLACEMENT)
    expect_text("a\0\255\0", "a\0" .. REPLACEMENT .. "\0")
    expect_text("caf\233 au lait", "caf" .. REPLACEMENT .. " au lait")
  end)

  it("show U+FFFD for what only looks like UTF-8, and all text around it", function()
    for _, bad in ipairs({ "\192\128", "\194", "\224\128\128", "\226\130", "\237\160\128",
      "\240\128\128\128", "\240\159\152", "\244\144\128\128", "\248\136\128\128\128" }) do
      update({ error = "before" .. bad .. "after", current_step = "end" .. bad })
      local job = decoded()
      local between = job.error:match("^before(.*)after$")
      assert.is_not_nil(between, job.error)
      assert.equal("", (between:gsub(REPLACEMENT, "")))
      assert.is_true(#between >= #REPLACEMENT)
      assert.equal("end", (job.current_step:gsub(REPLACEMENT, "")))
      assert.is_true(#job.current_step > #"end")
    end
  end)

  it("show what needs an escape at any place of texts of any length", function()
    for _, length in ipairs({ 1, 2, 3, 4, 5, 7, 8, 9, 15, 16, 17, 31, 32, 33, 47, 48, 49 }) do
      for place = 1, length do
        for _, byte in ipairs({ 0, 10, 31, 34, 92 }) do
          local text = ("x"):rep(place - 1) .. string.char(byte) .. ("y"):rep(length - place)
          expect_text(text, text)
        end
      end
    end
  end)

  it("stay readable whatever the bytes (seed " .. SEED .. ")", function()
    local numbers = random.new(SEED)
    for _ = 1, 1000 do
      local bytes = numbers:bytes(numbers:whole(0, 60))
      update({ error = bytes, current_step = bytes })
      local job = decoded()
      assert.is_true(utf8_text.is_valid(job.error))
      if utf8_text.is_valid(bytes) then assert.equal(bytes, job.error) end
      assert.equal(bytes, JobTracker.get_job(task_id).error)
    end
  end)

  it("may be long", function()
    update({ error = ("\255x"):rep(1000000), current_step = ("\0"):rep(4096) })
    local job = decoded()
    assert.is_true(job.error == (REPLACEMENT .. "x"):rep(1000000))
    assert.equal(("\0"):rep(4096), job.current_step)
  end)
end)

describe("in the JSON of a job, result and meta", function()
  it("have NUL in texts and keys", function()
    update({ meta = { ["a\0b"] = "c\0d" } })
    assert.is_nil(exact.difference({ ["a\0b"] = "c\0d" }, decoded().meta))
  end)

  it("have doubles that read back the same", function()
    local list = { 0.1, 1e-300, 1.7976931348623157e308, 5e-324, 1 / 3, -2.5 }
    update({ meta = list })
    local read = decoded().meta
    for index, number in ipairs(list) do assert.equal(number, read[index]) end
  end)

  if math.type then
    it("have integers of 64 bits with all their digits", function()
      update({ meta = { math.maxinteger, math.mininteger } })
      assert.matches("%[9223372036854775807, ?%-9223372036854775808%]", json_text())
    end)
  else
    it("have whole numbers up to 2^53 without an exponent or a fraction", function()
      update({ meta = { 2 ^ 53, -2 ^ 53, 1, 100000 } })
      assert.matches("%[9007199254740992, ?%-9007199254740992, ?1, ?100000%]", json_text())
    end)
  end
end)
