-- result and meta hold any JSON value and give back exactly what went in; what
-- is not a JSON value is refused with the path to the culprit.

local doubles = require "doubles"
local exact = require "exact"
local misuse = require "misuse"
local random = require "random"
local job_tracker = require "job_tracker"
local JobTracker, null = job_tracker.JobTracker, job_tracker.null

local SEED = 20261123

local task_id

before_each(function()
  JobTracker.clear_jobs()
  task_id = JobTracker.create_job("json")
end)

after_each(function() JobTracker.clear_jobs() end)

---Stores the value as result and as meta and expects the same back from both.
local function round_trip(value, what)
  assert.is_true(JobTracker.update_job(task_id, { result = value, meta = { value } }))
  local job = JobTracker.get_job(task_id)
  assert.is_nil(exact.difference(value, job.result, what or "result"))
  assert.is_nil(exact.difference({ value }, job.meta, what or "meta"))
end

local function nested(levels, innermost)
  local value = innermost
  for _ = 1, levels do value = { value } end
  return value
end

describe("a JSON value comes back as it went in:", function()
  it("booleans and null inside", function()
    round_trip(true)
    round_trip(false)
    round_trip({ null, 1, null })
    round_trip({ a = null, b = { null } })
    round_trip({ true, false })
    assert.is_true(JobTracker.update_job(task_id, { meta = { a = null } }))
    assert.equal(null, JobTracker.get_job(task_id).meta.a)
  end)

  it("texts, also empty ones", function()
    for _, text in ipairs({ "", " ", "a", "null", "true", "1", "\\", "\"", "/", "\\u0041",
      "line\nbreak\r\ttab\b\f", "</script>", "\127" }) do
      round_trip(text)
      round_trip({ [text] = text })
    end
  end)

  it("every ASCII character, NUL among them, in texts and in keys", function()
    local all = {}
    for byte = 0, 127 do
      all[#all + 1] = string.char(byte)
      round_trip({ [string.char(byte)] = string.char(byte) })
    end
    local text = table.concat(all)
    round_trip(text)
    round_trip({ [text] = { [text .. text] = text } })
    round_trip({ ["\0"] = "\0\0", ["\0\0"] = "\0" })
    round_trip({ ["a\0b"] = 1, ["a\0c"] = 2, a = 3 })
  end)

  it("every kind of UTF-8", function()
    for _, text in ipairs({ "\194\128", "\223\191", "\224\160\128", "\237\159\191",
      "\238\128\128", "\239\191\189", "\239\191\190", "\239\191\191", "\240\144\128\128",
      "\244\143\191\191", "Überblick", "\226\130\172", "\240\159\152\128", "\226\128\168" }) do
      round_trip(text)
      round_trip({ ["k" .. text] = "v" .. text })
    end
  end)

  it("the empty table, as an object", function()
    round_trip({})
    round_trip({ {}, { {} } })
    round_trip({ a = {} })
    assert(JobTracker.update_job(task_id, { meta = {} }))
    assert.matches('"meta": ?{}', (JobTracker.get_json(task_id)))
  end)

  it("arrays, as arrays", function()
    round_trip({ 1 })
    round_trip({ "a", { "b" }, { c = { "d" } } })
    assert(JobTracker.update_job(task_id, { meta = { "a", "b" } }))
    assert.matches('"meta": ?%["a", ?"b"%]', (JobTracker.get_json(task_id)))
  end)

  it("arrays that were filled in any order", function()
    local list = {}
    for index = 100, 1, -1 do list[index] = index end
    round_trip(list)
    list = { [2] = "b", [1] = "a", [4] = "d", [3] = "c" }
    round_trip(list)
  end)

  it("objects whose keys look like numbers", function()
    round_trip({ ["1"] = "a", ["2"] = "b" })
    round_trip({ ["0"] = 1, ["-1"] = 2, ["1.5"] = 3, ["1e3"] = 4, [""] = 5 })
  end)

  it("a table that occurs twice", function()
    local shared = { "shared" }
    assert(JobTracker.update_job(task_id, { meta = { a = shared, b = { shared, shared } } }))
    assert.same({ a = { "shared" }, b = { { "shared" }, { "shared" } } },
      JobTracker.get_job(task_id).meta)
  end)

  it("100 levels", function()
    local objects = { k = null }
    for _ = 1, 99 do objects = { k = objects } end
    for _, value in ipairs({ nested(100), nested(99, { "innermost" }), objects }) do
      assert(JobTracker.update_job(task_id, { result = value, meta = value }))
      local job = JobTracker.get_job(task_id)
      assert.is_nil(exact.difference(value, job.result))
      assert.is_nil(exact.difference(value, job.meta))
    end
  end)
end)

describe("a number comes back as it went in:", function()
  it("whole numbers up to 2^53", function()
    local list = {}
    for power = 0, 53 do
      for offset = -1, 1 do
        local number = 2 ^ power + offset
        if math.type and number == math.floor(number) then number = math.floor(number) end
        if number <= 2 ^ 53 then
          list[#list + 1] = number
          list[#list + 1] = -number
        end
      end
    end
    round_trip(list)
    for _, number in ipairs({ 0, 1, -1, 42, 9007199254740992, -9007199254740992 }) do
      round_trip(number)
    end
  end)

  it("decimal fractions, shown with the fewest digits", function()
    for _, number in ipairs({ 0.1, 0.2, 0.3, 1 / 3, 1e-7, 123456.789, 1e21, 1e22, 1e23 }) do
      round_trip(number)
      round_trip(-number)
    end
    for number, text in pairs({ [0.1] = "0.1", [0.7] = "0.7", [12.25] = "12.25",
      [0.1234567891] = "0.1234567891", [1 / 3] = "0.3333333333333333", [5e-324] = "5e-324",
      [1.2e-310] = "1.2e-310" }) do
      assert(JobTracker.update_job(task_id, { meta = { number } }))
      assert.matches("[" .. text .. "]", (JobTracker.get_json(task_id)), 1, true)
    end
  end)

  it("the edges of doubles", function()
    for _, words in ipairs({ { 0, 1 }, { 0x000FFFFF, 0xFFFFFFFF }, { 0x00100000, 0 },
      { 0x7FEFFFFF, 0xFFFFFFFF }, { 0x3FF00000, 1 }, { 0x3FEFFFFF, 0xFFFFFFFF },
      { 0x43300000, 0 }, { 0x43400000, 1 }, { 0x43E00000, 0 }, { 0x43DFFFFF, 0xFFFFFFFF } }) do
      local number = doubles.from_words(words[1], words[2])
      round_trip(number)
      round_trip(-number)
    end
  end)

  it("minus zero", function()
    round_trip(doubles.from_words(0x80000000, 0))
    round_trip({ doubles.from_words(0x80000000, 0), 0.0 })
  end)

  it("doubles of random bits (seed " .. SEED .. ")", function()
    local numbers = random.new(SEED)
    for _ = 1, 20 do
      local list = {}
      for index = 1, 500 do list[index] = doubles.random(numbers) end
      round_trip(list, "seed " .. SEED)
    end
  end)

  if math.type then
    it("integers of 64 bits", function()
      local list = { math.maxinteger, math.mininteger, math.maxinteger - 1,
        math.mininteger + 1, math.floor(2 ^ 53), math.floor(2 ^ 53) + 1, -1, 0 }
      round_trip(list)
      for _, number in ipairs(list) do round_trip(number) end
      local numbers = random.new(SEED)
      for index = 1, 2000 do
        list[index] = string.unpack("<i8", numbers:bytes(8))
      end
      round_trip(list, "seed " .. SEED)
    end)

    it("floats with a whole value as floats", function()
      round_trip({ 1.0, -1.0, 0.0, 2.0 ^ 53, 1e15, 1e16, 1e300, 2.0 ^ 63, -2.0 ^ 63 })
      for _, number in ipairs({ 1.0, 100.0, 1e20 }) do round_trip(number) end
    end)
  end
end)

describe("values of every shape", function()
  local function random_text(numbers)
    local pieces = { "a", "Z", "0", " ", "\0", "\n", "\"", "\\", "\127", "\195\188",
      "\226\130\172", "\240\159\152\128", "\239\191\191" }
    local text = {}
    for index = 1, numbers:whole(0, 12) do text[index] = numbers:pick(pieces) end
    return table.concat(text)
  end

  local function random_scalar(numbers)
    local kind = numbers:whole(1, 6)
    if kind == 1 then return true end
    if kind == 2 then return false end
    if kind == 3 then return null end
    if kind == 4 then return numbers:whole(-1000000, 1000000) end
    if kind == 5 then return doubles.random(numbers) end
    return random_text(numbers)
  end

  local function random_value(numbers, levels)
    if levels == 0 or numbers:chance(1, 3) then return random_scalar(numbers) end
    local value = {}
    local as_list = numbers:chance(1, 2)
    for index = 1, numbers:whole(0, 8) do
      local key = as_list and index or random_text(numbers)
      value[key] = random_value(numbers, levels - 1)
    end
    return value
  end

  it("come back as they went in (seed " .. SEED .. ")", function()
    local numbers = random.new(SEED)
    for count = 1, 500 do
      local value = { random_value(numbers, 6) }
      round_trip(value, "value " .. count .. " of seed " .. SEED)
    end
  end)
end)

describe("values of several MB come back as they went in:", function()
  it("a long text", function()
    local text = ("0123456789abcdef"):rep(512 * 1024)
    assert(JobTracker.update_job(task_id, { result = text }))
    assert.is_true(JobTracker.get_job(task_id).result == text)
    local json, version = JobTracker.get_json(task_id)
    assert.is_true(#json > #text)
    assert.equal(JobTracker.get_job(task_id).version, version)
  end)

  it("a text in which every byte is escaped", function()
    local text = ("\0\1\"\\"):rep(512 * 1024)
    assert(JobTracker.update_job(task_id, { result = text }))
    assert.is_true(JobTracker.get_job(task_id).result == text)
  end)

  it("long arrays and large objects", function()
    local list, object = {}, {}
    for index = 1, 200000 do list[index] = index * 0.5 end
    for index = 1, 50000 do object["key " .. index] = { "value " .. index } end
    assert(JobTracker.update_job(task_id, { result = list, meta = object }))
    local job = JobTracker.get_job(task_id)
    assert.is_nil(exact.difference(list, job.result))
    assert.is_nil(exact.difference(object, job.meta))
  end)

  it("and leave no room taken when they go", function()
    local before = JobTracker.stats().bytes_used
    for _ = 1, 5 do
      assert(JobTracker.update_job(task_id, { meta = ("m"):rep(3000000) }))
    end
    assert.is_true(JobTracker.stats().bytes_used < before + 2 * 3000000)
    assert(JobTracker.update_job(task_id, { meta = null }))
    assert.equal(before, JobTracker.stats().bytes_used)
  end)
end)

---Expects the value to be refused as result and as meta, with these texts, in
---which FIELD stands for the field's name.
local function refuses(value, ...)
  local before = JobTracker.get_job(task_id)
  for _, field in ipairs({ "result", "meta" }) do
    local texts = {}
    for index, text in ipairs({ ... }) do texts[index] = text:gsub("FIELD", field) end
    misuse(function() JobTracker.update_job(task_id, { [field] = value }) end,
      "update_job: " .. field, (table.unpack or unpack)(texts))
  end
  assert.is_true(before == JobTracker.get_job(task_id))
end

describe("refused, with the path to the culprit, are", function()
  it("functions, threads and userdata", function()
    refuses(print, "FIELD: ", "function")
    refuses({ sections = { 1, 2, { draw = print } } }, "FIELD.sections[3].draw: ", "function")
    refuses({ coroutine.create(print) }, "FIELD[1]: ", "thread")
    refuses({ io.stdout }, "FIELD[1]: ", "userdata")
    refuses({ job = JobTracker.get_job(task_id) }, "FIELD.job: ", "userdata")
  end)

  it("NaN and infinities", function()
    refuses(0 / 0, "FIELD: ", "nan")
    refuses({ 1, math.huge }, "FIELD[2]: ", "inf")
    refuses({ a = { b = -math.huge } }, "FIELD.a.b: ", "-inf")
  end)

  it("invalid UTF-8, with the byte", function()
    local sixteen = ("a"):rep(16)
    refuses({ sections = { 1, 2, { text = sixteen .. "\255" } } },
      "FIELD.sections[3].text: invalid UTF-8 at byte 17")
    refuses("\128", "FIELD: invalid UTF-8 at byte 1")
    refuses({ "\195\188\255" }, "FIELD[1]: invalid UTF-8 at byte 3")
    refuses({ "a\0\254" }, "FIELD[1]: invalid UTF-8 at byte 3")
  end)

  it("every kind of invalid UTF-8", function()
    for _, bad in ipairs({ "\128", "\191", "\192\128", "\193\191", "\194", "\194a",
      "\224\128\128", "\224\159\191", "\226\130", "\226\130a", "\237\160\128", "\237\191\191",
      "\240\128\128\128", "\240\143\191\191", "\240\159\152", "\244\144\128\128",
      "\245\128\128\128", "\248\136\128\128\128", "\254", "\255" }) do
      refuses(bad, "FIELD: invalid UTF-8 at byte ")
      refuses({ a = "text " .. bad }, "FIELD.a: invalid UTF-8 at byte ")
    end
  end)

  it("keys that are invalid UTF-8", function()
    refuses({ ["\255"] = 1 }, "FIELD", "invalid UTF-8")
    refuses({ a = { { ["k\192"] = 1 } } }, "FIELD.a[1]", "invalid UTF-8")
  end)

  it("cycles", function()
    local cycle = { name = "x" }
    cycle.self = cycle
    refuses(cycle, "FIELD.self: ", "cycle")
    local first, second = {}, {}
    first.list = { 1, second }
    second.back = first
    refuses({ top = first }, "FIELD.top.list[2].back: ", "cycle")
  end)

  it("more than 100 levels", function()
    refuses(nested(101), "FIELD" .. ("[1]"):rep(20) .. "..." .. ("[1]"):rep(20) .. ": ", "100 levels")
    refuses({ deep = nested(100) }, "FIELD.deep[1]", "100 levels")
    refuses(nested(100000), "FIELD[1]", "100 levels")
  end)
end)

describe("refused are tables whose keys are", function()
  it("neither all numbers nor all texts", function()
    refuses({ 1, 2, x = 3 }, "FIELD: ", "key")
    refuses({ list = { "a", x = 1 } }, "FIELD.list: ", "key")
  end)

  it("not all of 1 to n", function()
    refuses({ [1] = 1, [3] = 3 }, "FIELD: ", "key")
    refuses({ [2] = 1 }, "FIELD: ", "key")
    refuses({ [0] = 1 }, "FIELD: ", "key")
    refuses({ [-1] = 1 }, "FIELD: ", "key")
    refuses({ [1.5] = 1 }, "FIELD: ", "key")
    refuses({ a = { { [1] = 1, [2 ^ 53] = 2 } } }, "FIELD.a[1]: ", "key")
  end)

  it("of other types", function()
    refuses({ [true] = 1 }, "FIELD: ", "key")
    refuses({ [{}] = 1 }, "FIELD: ", "key")
    refuses({ a = { [print] = 1 } }, "FIELD.a: ", "key")
    refuses({ [null] = 1 }, "FIELD: ", "key")
  end)
end)

describe("a refused value", function()
  if rawget(_G, "jit") then
    it("may be a cdata, such as a 64-bit integer of the FFI", function()
      local ffi = require "ffi"
      refuses({ ffi.new("int64_t", 1) }, "FIELD[1]: ", "cdata")
    end)
  end

  it("takes nothing of the store", function()
    local before = JobTracker.stats()
    for _ = 1, 50 do
      pcall(JobTracker.update_job, task_id, { result = { ("x"):rep(100000), print } })
    end
    assert.same(before, JobTracker.stats())
  end)
end)
