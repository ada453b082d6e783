-- Truncated, zeroed and randomly damaged store files: values or errors, never
-- a crash and never a hang. Each batch runs in a forked child, so that a crash
-- shows as a signal.

local child = require "child"
local random = require "random"
local store_file = require "store_file"
local store_use = require "store_use"
local JobTracker = require("job_tracker").JobTracker

local SEED = 31
local SIZE = 256 * 1024
local PAGE = 4096

local good, ids -- the bytes of a good store, and the ids of its jobs

local function fill(tracker)
  ids = {}
  for number = 1, 12 do
    local id = assert(tracker.create_job("damage" .. number % 3))
    ids[number] = id
    assert(tracker.update_job(id, {
      status = ({ "pending", "running", "completed", "failed" })[number % 4 + 1],
      current_step = "step of " .. id,
      result = { "result of " .. id, ("r"):rep(number * 100) },
      error = "error of " .. id,
      meta = { text = "meta of " .. id, number = number },
    }))
  end
end

setup(function()
  local path = store_file.path()
  local tracker = assert(JobTracker.open(path, { size = SIZE, max_jobs = 64 }))
  fill(tracker)
  tracker.close()
  good = store_file.read(path)
  store_file.clean()
end)

after_each(child.end_all)
after_each(store_file.clean)

---Runs 'try' for each variant in a child, with a path for its file; a failure
---names the variant.
local function in_batches(count, try)
  local folder = store_file.folder()
  local notes, path = folder .. "/variant", folder .. "/jobs.store"
  for first = 1, count, 20 do
    local batch = child.start(function()
      for variant = first, math.min(first + 19, count) do
        store_file.write(notes, tostring(variant))
        try(variant, path)
        os.remove(path)
      end
    end)
    local how, code, report = batch:wait(60)
    assert(how == "exit" and code == 0, ("variant %s (seed %d): %s %s %s"):format(
      store_file.read(notes), SEED, how, tostring(code), report))
  end
end

local function expect_error(tracker, message, code)
  assert(tracker == nil, "a damaged file was opened")
  assert(type(message) == "string")
  assert(({ corrupt = 1, incompatible = 1, not_ready = 1, io = 1 })[code], tostring(code))
end

---All but the page on which readers too say that they wait.
local function but_for_notice(bytes) return bytes:sub(1, PAGE) .. bytes:sub(2 * PAGE + 1) end

---Opens the bytes as a file, both ways, and uses whatever opens.
---@return boolean whether it opened for writing
local function use_file(path, bytes)
  store_file.write(path, bytes)
  local reader, message, code = JobTracker.open(path, { readonly = true })
  if reader then
    store_use.every_call(reader, ids)
    reader.close()
    assert(but_for_notice(store_file.read(path)) == but_for_notice(bytes),
      "a reader changed the file")
  else
    expect_error(reader, message, code)
  end
  local writer
  -- A retention, because a damaged one may hide jobs that are counted.
  writer, message, code = JobTracker.open(path, { retention = 1e9 })
  if writer then
    store_use.expect_consistent(writer)
    store_use.every_call(writer, ids)
    store_use.expect_usable(writer)
    writer.close()
  else
    expect_error(writer, message, code)
  end
  return writer ~= nil
end

---Offsets of the words that are not zero: where damage can matter.
local function used_words(bytes, from)
  local offsets = {}
  local at = bytes:find("[^%z]", from + 1)
  while at do
    local offset = math.floor((at - 1) / 8) * 8
    offsets[#offsets + 1] = offset
    at = bytes:find("[^%z]", offset + 9)
  end
  return offsets
end

---A place and the bytes to put there.
local function random_damage(numbers, offsets, from)
  local offset = numbers:pick(offsets)
  if numbers:chance(1, 5) then offset = numbers:whole(from / 8, SIZE / 8 - 1) * 8 end
  local length = numbers:pick({ 1, 1, 2, 4, 8, 8, 64, 512 })
  if length < 8 then offset = offset + numbers:whole(0, 7) end
  length = math.min(length, SIZE - offset)
  local kind = numbers:whole(1, 4)
  if kind == 1 then return offset, ("\0"):rep(length) end
  if kind == 2 then return offset, ("\255"):rep(length) end
  if kind == 3 then -- something that looks right in another place
    local source = numbers:pick(offsets)
    return offset, good:sub(source + 1, source + math.min(length, SIZE - source))
  end
  return offset, numbers:bytes(length)
end

local function replace(bytes, offset, part)
  return bytes:sub(1, offset) .. part .. bytes:sub(offset + #part + 1)
end

describe("a store file", function()
  it("opens whole when nothing is wrong with it", function()
    assert.equal(SIZE, #good)
    local path = store_file.path()
    assert.is_true(use_file(path, good))
    store_file.write(path, good)
    for _, options in ipairs({ {}, { readonly = true } }) do
      local tracker = assert(JobTracker.open(path, options))
      assert.equal(12, #tracker.list_jobs())
      assert.equal(0, tracker.stats().damaged)
      tracker.close()
    end
  end)

  it("is refused when truncated, at whatever length, and left as it is", function()
    local lengths = { 1, 7, 8, 9, 63, 64, 100, 4095, 4096, 4097, 8191, 8192, SIZE - 1,
      SIZE - PAGE }
    for part = 1, 31 do lengths[#lengths + 1] = math.floor(SIZE * part / 32) end
    in_batches(#lengths, function(variant, path)
      local bytes = good:sub(1, lengths[variant])
      store_file.write(path, bytes)
      expect_error(JobTracker.open(path, { readonly = true }))
      expect_error(JobTracker.open(path))
      assert(store_file.read(path) == bytes, "the file was changed")
    end)
  end)

  it("may be empty: that is a new one, but nothing to read", function()
    local path = store_file.path()
    store_file.write(path, "")
    expect_error(JobTracker.open(path, { readonly = true }))
    local tracker = assert(JobTracker.open(path, { size = SIZE }))
    assert.is_truthy(tracker.create_job("a"))
    tracker.close()
  end)

  it("is refused when zeroed", function()
    in_batches(1, function(_, path)
      assert(not use_file(path, ("\0"):rep(SIZE)))
      assert(not use_file(path, replace(good, 0, ("\0"):rep(PAGE))))
    end)
  end)

  it("gives values or errors when zeroed in part", function()
    local pages = SIZE / PAGE
    in_batches(pages, function(variant, path)
      use_file(path, replace(good, (variant - 1) * PAGE, ("\0"):rep(PAGE)))
    end)
    in_batches(pages, function(variant, path)
      local kept = variant * PAGE
      use_file(path, good:sub(1, kept) .. ("\0"):rep(SIZE - kept))
    end)
  end)

  it("gives values or errors when it has grown", function()
    in_batches(1, function(_, path)
      use_file(path, good .. "x")
      use_file(path, good .. good)
    end)
  end)

  it("gives values or errors when randomly damaged (seed " .. SEED .. ")", function()
    local numbers, offsets = random.new(SEED), used_words(good, 0)
    local variants = {}
    for variant = 1, 400 do
      local bytes = good
      for _ = 1, numbers:pick({ 1, 1, 2, 5, 20 }) do
        bytes = replace(bytes, random_damage(numbers, offsets, 0))
      end
      variants[variant] = bytes
    end
    in_batches(#variants, function(variant, path) use_file(path, variants[variant]) end)
  end)

  it("gives values or errors when its header is damaged (seed " .. SEED .. ")", function()
    local numbers, variants = random.new(SEED + 1), {}
    for variant = 1, 200 do
      local offset = numbers:whole(0, 511)
      local part = numbers:pick({ "\0", "\255", "\1", "\127", "\128", numbers:bytes(1),
        numbers:bytes(8), ("\255"):rep(8), ("\0"):rep(8) })
      variants[variant] = replace(good, offset, part)
    end
    in_batches(#variants, function(variant, path) use_file(path, variants[variant]) end)
  end)
end)

describe("a store that is damaged while it is open", function()
  ---Damages the file below a tracker that has it open, then uses that.
  local function use_open_store(path, options, damages)
    store_file.write(path, good)
    local tracker = assert(JobTracker.open(path, options))
    for _, damage in ipairs(damages) do store_file.patch(path, damage[1], damage[2]) end
    store_use.every_call_after_damage(tracker, ids)
    tracker.close()
  end

  local function random_damages(seed, count, from)
    local numbers, offsets = random.new(seed), used_words(good, from)
    local variants = {}
    for variant = 1, count do
      local damages = {}
      for index = 1, numbers:pick({ 1, 2, 5, 20 }) do
        damages[index] = { random_damage(numbers, offsets, from) }
      end
      variants[variant] = damages
    end
    return variants
  end

  it("gives values or errors to a reader (seed " .. SEED .. ")", function()
    local variants = random_damages(SEED + 2, 200, 0)
    in_batches(#variants, function(variant, path)
      use_open_store(path, { readonly = true }, variants[variant])
    end)
  end)

  it("gives values or errors to a writer (seed " .. SEED .. ")", function()
    -- From the index on: the page before holds the writers' lock, which is
    -- glibc's, and nobody can lock what is no lock.
    local variants = random_damages(SEED + 3, 200, 2 * PAGE)
    in_batches(#variants, function(variant, path)
      use_open_store(path, {}, variants[variant])
    end)
  end)
end)

describe("a store in which one job is damaged", function()
  local function damaged_file(text)
    local path = store_file.path()
    store_file.write(path, good)
    local places = store_file.offsets(good, text)
    assert(#places > 0, "not in the file: " .. text)
    for _, offset in ipairs(places) do store_file.patch(path, offset, "?") end
    return path
  end

  local function expect_others(tracker, damaged)
    local listed = {}
    for _, job in ipairs(tracker.list_jobs()) do listed[job.task_id] = true end
    for number, id in ipairs(ids) do
      if id ~= damaged then
        local job = tracker.get_job(id)
        assert.same({ text = "meta of " .. id, number = number }, job.meta)
        assert.same({ "result of " .. id, ("r"):rep(number * 100) }, job.result)
        assert.same({ "step of " .. id, "error of " .. id }, { job.current_step, job.error })
        assert.is_true(listed[id])
      end
    end
    assert.is_nil((tracker.get_job(damaged)))
    assert.is_nil((tracker.get_json(damaged)))
  end

  for _, part in ipairs({ "step", "result", "error", "meta" }) do
    it("drops and counts that job and keeps all others (" .. part .. ")", function()
      local path = damaged_file(part .. " of " .. ids[5])
      local reader = assert(JobTracker.open(path, { readonly = true }))
      expect_others(reader, ids[5])
      reader.close()
      local tracker = assert(JobTracker.open(path))
      expect_others(tracker, ids[5])
      assert.equal(1, tracker.stats().damaged)
      assert.equal(11, tracker.stats().jobs_used)
      store_use.expect_consistent(tracker)
      assert.equal("not_found", (select(3, tracker.update_job(ids[5], { progress = 0.5 }))))
      tracker.close()
    end)
  end

  it("says corrupt about it to a reader, and not that there is no such job", function()
    local path = damaged_file("step of " .. ids[5])
    local reader = assert(JobTracker.open(path, { readonly = true }))
    local result, message, code = reader.get_job(ids[5])
    assert.is_nil(result)
    assert.equal("string", type(message))
    assert.equal("corrupt", code)
    reader.close()
  end)

  it("counts every damaged job", function()
    local path = damaged_file("step of " .. ids[5])
    for _, number in ipairs({ 2, 9 }) do
      for _, offset in ipairs(store_file.offsets(good, "error of " .. ids[number])) do
        store_file.patch(path, offset + 3, "\0")
      end
    end
    local tracker = assert(JobTracker.open(path))
    assert.equal(3, tracker.stats().damaged)
    assert.equal(9, #tracker.list_jobs())
    tracker.close()
  end)
end)
