-- The queue of a worker process, with timers that the specs fire: what waits, how many
-- run, and what becomes of them when timers fail or the process exits. With nginx's own
-- timers it is tried in pipeline_nginx_spec.lua.

local pipeline = require "job_tracker.pipeline"
local misuse = require "misuse"
local Queue = require "job_tracker.pipeline.queue"

-- Timers by hand: 'fire' runs those that are due, each in a coroutine.
local function by_hand()
  local hand = { due = {}, hearts = {}, threads = {}, complaints = {}, exiting = false }
  hand.timers = {
    soon = function(body, _, beats)
      if hand.refuse then return nil end
      if not hand.drop then table.insert(hand.due, body) end
      table.insert(hand.hearts, beats)
      return true
    end,
    every = function(_, body)
      hand.tick = body
      return true
    end,
    is_exiting = function() return hand.exiting end,
    complain = function(message) table.insert(hand.complaints, message) end,
  }
  function hand.fire(is_exiting)
    local due = hand.due
    hand.due = {}
    for _, body in ipairs(due) do
      local thread = coroutine.create(body)
      table.insert(hand.threads, thread)
      assert(coroutine.resume(thread, is_exiting or false))
    end
  end
  -- The hearts of the runner beat, if they do not wait in the last beat yet.
  local beating = {}
  function hand.beat(runner)
    for _, beat in ipairs(hand.hearts[runner]) do
      if not beating[beat] or coroutine.status(beating[beat]) == "dead" then
        beating[beat] = coroutine.create(beat)
        assert(coroutine.resume(beating[beat]))
      end
    end
  end
  -- Everything that is under way goes on to its next pause.
  function hand.go_on()
    for _, thread in ipairs(hand.threads) do
      if coroutine.status(thread) == "suspended" then assert(coroutine.resume(thread)) end
    end
  end
  return hand
end

describe("the queue", function()
  local hand, queue, log, under_way, most

  before_each(function()
    hand, log, under_way, most = by_hand(), {}, 0, 0
    queue = Queue.new(hand.timers, 3, 2)
  end)

  local function one(name, fields)
    local waiting = fields or {}
    waiting.go = waiting.go or function()
      under_way = under_way + 1
      most = math.max(most, under_way)
      coroutine.yield()
      under_way = under_way - 1
      table.insert(log, name)
    end
    waiting.still_wanted = waiting.still_wanted or function() return true end
    waiting.abandon = function() table.insert(log, name .. " abandoned") end
    waiting.lost = function() table.insert(log, name .. " lost") end
    return waiting
  end

  -- One that is not wanted any more, and whose end takes its time.
  local function unwanted(name)
    local waiting = one(name, { still_wanted = function() return false end })
    waiting.abandon = function() coroutine.yield() end
    return waiting
  end

  it("runs what it is given in turn, no more at a time than there are runners", function()
    for _, name in ipairs { "a", "b", "c" } do queue:push(one(name)) end
    assert.equal(2, #hand.due)
    hand.fire()
    assert.equal(2, under_way)
    for _ = 1, 3 do hand.go_on() end
    assert.same({ "a", "b", "c" }, log)
    assert.equal(2, most)
    assert.equal(0, queue.running)
  end)

  it("is full when as many wait as may, besides those that are run at once", function()
    for _, name in ipairs { "a", "b", "c", "d", "e" } do
      assert.is_false(queue:is_full())
      queue:push(one(name))
    end
    assert.is_true(queue:is_full())
    hand.fire()
    assert.is_true(queue:is_full())
    hand.go_on()
    assert.is_false(queue:is_full())
  end)

  it("runs what need not wait where nothing may", function()
    queue = Queue.new(hand.timers, 0, 2)
    for _, name in ipairs { "a", "b" } do
      assert.is_false(queue:is_full())
      queue:push(one(name))
    end
    for _ = 1, 2 do
      assert.is_true(queue:is_full())
      hand.fire()
    end
    hand.go_on()
    assert.same({ "a", "b" }, log)
    assert.is_false(queue:is_full())
  end)

  it("starts a runner again where the last has ended", function()
    queue:push(one "a")
    hand.fire()
    hand.go_on()
    queue:push(one "b")
    hand.fire()
    hand.go_on()
    assert.same({ "a", "b" }, log)
  end)

  it("outlives what raises", function()
    queue:push(one("a", { go = function() error("boom", 0) end }))
    queue:push(one "b")
    hand.fire()
    hand.go_on()
    assert.same({ "boom" }, hand.complaints)
    assert.same({ "b" }, log)
    assert.equal(0, queue.running)
  end)

  it("outlives what raises a value that cannot be shown", function()
    local function silent() error("no", 0) end
    queue:push(one("a", { go = function() error(setmetatable({}, { __tostring = silent })) end }))
    queue:push(one "b")
    hand.fire()
    hand.go_on()
    assert.same({ "an error that cannot be shown" }, hand.complaints)
    assert.same({ "b" }, log)
  end)

  for _, trouble in ipairs { "refuse", "drop" } do
    it("strands nothing where nginx is to " .. trouble .. " a timer", function()
      hand[trouble] = true
      for _, name in ipairs { "a", "b" } do queue:push(one(name)) end
      hand[trouble] = nil
      hand.fire()
      assert.equal(0, under_way)
      hand.tick(false)
      hand.fire()
      assert.equal(2, under_way)
      hand.go_on()
      assert.same({ "a", "b" }, log)
    end)
  end

  it("has no more runners than it may where late timers come after all", function()
    for _, name in ipairs { "a", "b", "c" } do queue:push(one(name)) end
    hand.tick(false) -- takes those for lost that have not begun
    assert.equal(4, #hand.due)
    hand.fire()
    assert.equal(2, under_way)
    for _ = 1, 3 do hand.go_on() end
    assert.equal(2, most)
    assert.same({ "a", "b", "c" }, log)
  end)

  it("lets go of what is not wanted any more, before its turn", function()
    hand.drop = true
    local wanted = true
    queue:push(one("a", { still_wanted = function() return wanted end }))
    queue:push(one "b")
    hand.drop, wanted = nil, false
    hand.tick(false)
    hand.fire()
    hand.go_on()
    assert.same({ "a abandoned", "b" }, log)
  end)

  it("lets go of what is not wanted any more at a heart's beat, where no tick comes", function()
    queue.runners = 1
    queue:push(one "a")
    hand.fire()
    queue:push(one("b", { still_wanted = function() return false end }))
    hand.beat(1)
    hand.go_on()
    assert.same({ "b abandoned", "a" }, log)
  end)

  it("keeps what comes while the end of something unwanted takes its time", function()
    queue.runners = 1
    queue:push(one "a")
    hand.fire()
    queue:push(unwanted "b")
    queue:push(one "c")
    local ticking = coroutine.create(hand.tick)
    assert(coroutine.resume(ticking, false))
    queue:push(one "d")
    hand.go_on() -- a ends, and c is begun
    assert(coroutine.resume(ticking))
    for _ = 1, 2 do hand.go_on() end
    assert.same({ "a", "c", "d" }, log)
  end)

  it("ends what is not wanted also where the end before it never comes", function()
    hand.drop = true
    local function never() coroutine.yield() end
    for _, name in ipairs { "a", "b" } do
      queue:push(one(name, { still_wanted = function() return false end }))
    end
    queue.waiting[1].abandon = never
    assert(coroutine.resume(coroutine.create(hand.tick), false))
    assert.same({}, log)
    hand.tick(false)
    assert.same({ "b abandoned" }, log)
  end)

  it("says that a runner was lost also where an end in the same look never comes", function()
    queue.runners = 1
    queue:push(one "a")
    hand.fire()
    for _ = 1, 3 do hand.tick(false) end
    queue:push(one("b", { still_wanted = function() return false end }))
    queue.waiting[1].abandon = function() coroutine.yield() end
    assert(coroutine.resume(coroutine.create(hand.tick), false))
    hand.tick(false)
    assert.same({ "a lost" }, log)
  end)

  it("puts another in the place of a runner that is silent, and loses nothing that waits", function()
    queue.runners = 1
    for _, name in ipairs { "a", "b" } do queue:push(one(name)) end
    hand.fire()
    for _ = 1, 10 do -- its heart beats
      hand.tick(false)
      hand.beat(1)
    end
    assert.same({}, log)
    hand.threads = {} -- it was ended in the middle
    for _ = 1, 4 do hand.tick(false) end
    assert.same({ "a lost" }, log)
    hand.fire()
    hand.go_on()
    assert.same({ "a lost", "b" }, log)
    assert.equal(0, queue.running)
  end)

  it("takes no runner for lost whose heart is busy with the end of something unwanted", function()
    queue.runners = 1
    queue:push(one "a")
    hand.fire()
    queue:push(unwanted "b")
    for _ = 1, 10 do
      hand.beat(1)
      hand.tick(false)
    end
    assert.same({}, log)
    hand.go_on()
    assert.same({ "a" }, log)
  end)

  it("has no runner too many where one that was silent goes on", function()
    queue.runners = 1
    for _, name in ipairs { "a", "b", "c" } do queue:push(one(name)) end
    hand.fire()
    for _ = 1, 4 do hand.tick(false) end
    hand.fire()
    for _ = 1, 3 do hand.go_on() end
    assert.same({ "a lost", "a", "b", "c" }, log)
    assert.equal(0, queue.running)
  end)

  it("begins nothing when the process exits, and finishes what is under way", function()
    queue.runners = 1
    for _, name in ipairs { "a", "b", "c" } do queue:push(one(name)) end
    hand.fire()
    hand.exiting = true
    hand.tick(true)
    assert.same({ "b abandoned", "c abandoned" }, log)
    hand.go_on()
    assert.same({ "b abandoned", "c abandoned", "a" }, log)
  end)

  it("abandons what waits also where only a runner learns of the exit", function()
    queue.runners = 1
    for _, name in ipairs { "a", "b" } do queue:push(one(name)) end
    hand.fire()
    hand.exiting = true
    hand.go_on()
    assert.same({ "a", "b abandoned" }, log)
    queue:push(one "c")
    hand.fire(true)
    assert.same({ "a", "b abandoned", "c abandoned" }, log)
  end)

  it("is not made where there is no timer to be had", function()
    hand.timers.every = function() return nil end
    assert.is_nil(Queue.new(hand.timers, 3, 2))
  end)
end)

describe("pipeline.configure", function()
  it("refuses what is no bound of a queue", function()
    misuse(function() pipeline.configure { runners = 0 } end,
      "pipeline.configure: runners must be an integer from 1 to 64, got 0")
    misuse(function() pipeline.configure { queue = "many" } end,
      "pipeline.configure: queue must be an integer from 0 to 1000000, got \"many\"")
    misuse(function() pipeline.configure { timers = 2 } end,
      "pipeline.configure: unknown option \"timers\"")
    misuse(function() pipeline.configure() end,
      "pipeline.configure: its argument must be a table, got nil")
  end)
end)

describe("pipeline:start", function()
  it("is refused where there are no timers, and names what to call", function()
    local one = pipeline.new { task_type = "x", steps = { { name = "a", run = print } } }
    misuse(function() local id = one:start(1) return id end,
      "start: there are no timers outside OpenResty; call run")
  end)

  it("refuses what it does not know, before all else", function()
    local one = pipeline.new { task_type = "x", steps = { { name = "a", run = print } } }
    misuse(function() local id = one:start(1, { on_start = print }) return id end,
      'pipeline.start: unknown option "on_start"; the options are task_id')
    misuse(function() local id = one:start(1, { task_id = 7 }) return id end,
      "pipeline.start: task_id must be a string, got 7")
    misuse(function() local id = one.start(1) return id end,
      "pipeline.start: it is a method, call it with a colon: pipeline:start(input)")
  end)
end)
