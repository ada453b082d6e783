-- The table that spec/prove/run prints, for specs that run parts of it.

local assert = require "luassert"
local run = require("shell").run

local function rows_of(text)
  local rows = {}
  for promise, method, cases, violations in
    text:gmatch("([^\n]-)  +([^\n]-)  +(%d+) +(%d+)\n") do
    rows[#rows + 1] = { promise = promise, method = method, cases = tonumber(cases),
      violations = tonumber(violations) }
  end
  return rows
end

-- Runs the short version of these parts, which must find nothing and have tried all: rows
-- of a table, at least that many.
local function check(parts, least)
  local text, status = run("spec/prove/run --quick " .. parts)
  assert.equal(0, status, text)
  local rows = rows_of(text)
  assert.is_true(#rows >= least, text)
  for _, row in ipairs(rows) do
    assert.is_true(row.cases > 0, row.method)
    assert.equal(0, row.violations, row.method)
  end
end

return { check = check }
