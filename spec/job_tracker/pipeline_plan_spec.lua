-- How a pipeline is declared: what is refused, and in which words.

local pipeline = require "job_tracker.pipeline"

local function nothing() end

describe("a declaration", function()
  local function refused(options, expected)
    local line = debug.getinfo(1, "l").currentline + 1
    local ok, message = pcall(function() local made = pipeline.new(options); return made end)
    assert.is_false(ok)
    assert.matches("pipeline_plan_spec.lua:" .. line .. ": pipeline.new: " .. expected, message)
  end

  local function with(fields)
    local step = { name = "a", run = nothing }
    for name, value in pairs(fields) do step[name] = value end
    return { task_type = "x", steps = { step } }
  end

  it("is refused with the value and the rule", function()
    refused(nil, "its argument must be a table, got nil")
    refused({ steps = { { name = "a", run = nothing } } }, "task_type must be 1 to 64 .*, got nil")
    for _, task_type in ipairs { "", "a b", "ä", "a\n", ("x"):rep(65) } do
      refused({ task_type = task_type, steps = { { name = "a", run = nothing } } },
        "task_type must be 1 to 64 characters of A%-Z a%-z 0%-9 %. _ ~ %-, got ")
    end
    refused({ task_type = "x", steps = {} },
      "steps must be an array of 1 to 64 steps, got an empty table")
    refused(("x"):rep(1000), "its argument must be a table, got \"" .. ("x"):rep(60) .. "%.%.%.\"$")
    refused(with { name = "input" }, "steps%[1%]%.name must be .*, got \"input\"")
    for _, name in ipairs { "\255", "a\128", "\192\175", "\237\160\128", "\244\144\128\128", "é\226\130" } do
      refused(with { name = name }, "steps%[1%]%.name must be 1 to 64 bytes of UTF%-8 .*, got ")
    end
    refused(with { run = 7 }, "steps%[1%]%.run must be a function, got 7")
    refused(with { weight = 0 }, "steps%[1%]%.weight must be a number above 0, got 0")
    refused(with { retries = 1.5 }, "steps%[1%]%.retries must be an integer from 0 to 100, got 1.5")
    refused(with { parallel = 65, each = nothing },
      "steps%[1%]%.parallel must be an integer from 1 to 64, got 65")
    refused(with { parallel = 2 },
      "steps%[1%]%.parallel must be left out where there is no each, got 2")
    refused(with { wieght = 2 }, "steps%[1%]: unknown option \"wieght\"; the options are "
      .. "each, label, name, optional, parallel, retries, retry_delay, run, weight$")
    local other = with {}
    other.on_eror = nothing
    refused(other, "unknown option \"on_eror\"; the options are on_error, ")
    local twice = with {}
    twice.steps[2] = twice.steps[1]
    refused(twice, "steps%[2%]%.name must be a name that no other step has, got \"a\"")
  end)

  it("may have any name that JSON can hold", function()
    for _, name in ipairs { "é", "\226\130\172", "\237\159\191", "\240\144\128\128", "\244\143\191\191",
      "a \"b\" \\", ("ß"):rep(32) } do
      assert.is_table(pipeline.new(with { name = name }))
    end
  end)
end)
