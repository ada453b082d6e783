-- The figures that the README shows, and the chart beside them, are those of one run,
-- kept in spec/bench/figures.json; and what chart and table make of a run.

local cjson = require "cjson"
local store_file = require "store_file"

package.path = "spec/bench/?.lua;" .. package.path
local chart = require "chart"
local readme_table = require "readme_table"

local function spread(median, lower, upper)
  return { median = median, lower_quartile = lower, upper_quartile = upper }
end

local FACTS = { cpu = "2 x Some CPU", date = "2026-11-23", kernel = "Linux", compiler = "gcc",
  ["load before"] = "0.00 0.01 0.02" }

---A run of which only this row is shown.
local function run_of(row)
  row.unit, row.label, row.against = row.unit or "ns", row.label or "get", "the other"
  row.ours, row.peer = spread(100, 90, 110), spread(1234, 1200, 1300)
  return { facts = FACTS, rows = { row, { name = "not shown", unit = "ns", ours = spread(5, 5, 5) } } }
end

describe("the figures in the README", function()
  local run = cjson.decode(store_file.read("spec/bench/figures.json"))

  it("are those of the run that is kept", function()
    assert.truthy(store_file.read("README.md"):find(readme_table.render(run), 1, true))
  end)

  it("are drawn from the same run", function()
    assert.equal(store_file.read("spec/bench/figures.svg"), chart.render(run))
  end)

  it("are of a full run", function() assert.equal("full", run.facts.run) end)
end)

describe("the README's table", function()
  it("says where, and under which load", function()
    assert.truthy(readme_table.render({ facts = FACTS, rows = {} }):find(
      "2026-11-23; 2 x Some CPU; Linux; gcc. Load average before the run: 0.00 0.01 0.02.\n", 1, true))
  end)

  it("rounds what lies in the middle up, on either Lua", function()
    for median, shown in pairs { [112.5] = "113 ns", [1.25] = "1.3 ns", [0.125] = "0.13 ns" } do
      local run = run_of {}
      run.rows[1].ours = spread(median, 1, 1)
      local text = readme_table.render(run)
      assert.truthy(text:find(" " .. shown, 1, true), text)
    end
  end)

  it("says how many times as fast, with the spread", function()
    local block = readme_table.render(run_of { times_faster = true, ratio = spread(12.34, 11, 13.4) })
    assert.truthy(block:find("| get | 100 ns | the other: 1,234 ns | "
      .. "12 times as fast (11 to 13) |\n", 1, true), block)
  end)

  it("says how many times as long, where less is the aim", function()
    local block = readme_table.render(run_of { at_most = 2, ratio = spread(1.84, 1.8, 1.9) })
    assert.truthy(block:find("1.8 times as long (1.8 to 1.9)", 1, true), block)
  end)

  it("has what is compared with nothing", function()
    local run = run_of { label = "GET jobs/<id>", unit = "us" }
    run.rows[1].peer = nil
    assert.truthy(readme_table.render(run):find("| GET jobs/\\<id> | 100 µs |  |  |\n", 1, true))
  end)

  it("leaves out what has no label", function()
    assert.falsy(readme_table.render(run_of { ratio = spread(1, 1, 1) }):find("not shown"))
  end)

  it("stands in the README in place of the old one", function()
    local readme = store_file.read("README.md")
    local once = readme_table.replace(readme, "a table\n")
    assert.truthy(once:find("\na table\n", 1, true))
    assert.equal(once, readme_table.replace(once, "a table\n"))
    assert.equal(readme, readme_table.replace(once, readme:match("%-%->\n\n([^\n]*\n\n|.-)\n<!%-%-")))
  end)

  it("is refused by a README without a place for it", function()
    assert.has_error(function() readme_table.replace("nothing", "a table\n") end)
  end)
end)

describe("the chart", function()
  ---Where the bar begins and how wide it is, and its colour.
  local function bar(row)
    local x, width, colour = chart.render(run_of(row))
      :match('<rect x="([%d.]+)" y="%d+" width="([%d.]+)" height="%d+" fill="(#%x+)"')
    return tonumber(x), tonumber(width), colour
  end

  it("draws to the right what is faster, to the left what is slower", function()
    local faster_x, faster_width, faster = bar { times_faster = true, ratio = spread(10, 9, 11) }
    local slower_x, slower_width, slower = bar { times_faster = true, ratio = spread(0.1, 0.1, 0.1) }
    assert.equal(faster_x, slower_x)      -- the axis begins at 1 there, ends at 1 here
    assert.is_true(math.abs(faster_width - slower_width) < 0.2)
    assert.not_equal(faster, slower)
  end)

  it("is logarithmic", function()
    local _, ten = bar { times_faster = true, ratio = spread(10, 9, 11) }
    local _, root = bar { times_faster = true, ratio = spread(math.sqrt(10), 3, 4) }
    assert.is_true(math.abs(ten / 2 - root) < 0.2)
  end)

  it("escapes what is not XML", function()
    local svg = chart.render(run_of { label = "GET <id> & more", ratio = spread(1, 1, 1) })
    assert.truthy(svg:find("GET &lt;id&gt; &amp; more / the other", 1, true))
  end)
end)
