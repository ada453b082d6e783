-- The README's table of figures, made from a run: the rows that have a label. Knows the
-- fields of results.json, and how the block in the README begins and ends.

local readme_table = {}

local BEGIN = "<!-- By spec/bench/publish, from spec/bench/figures.json. Not to be edited. -->\n"
local END = "<!-- End of the figures. -->\n"

local UNITS = { us = "µs" }

---Rounded here: of what lies in the middle, Lua 5.4 and LuaJIT make different digits.
local function number(value)
  local digits = value < 1 and 2 or value < 10 and 1 or 0
  local scale = 10 ^ digits
  local text, more = ("%." .. digits .. "f"):format(math.floor(value * scale + 0.5) / scale), 1
  while more > 0 do text, more = text:gsub("^(%d+)(%d%d%d)", "%1,%2") end
  return text
end

local function figure(result, side)
  return number(side.median) .. " " .. (UNITS[result.unit] or result.unit)
end

local function peer_of(result)
  return result.peer and ("%s: %s"):format(result.against, figure(result, result.peer)) or ""
end

---The spread too: where it is wide, the ratio says little.
local function ratio_of(result)
  local ratio = result.ratio
  if not ratio then return "" end
  return ("%s times as %s (%s to %s)"):format(
    number(ratio.median), result.times_faster and "fast" or "long",
    number(ratio.lower_quartile), number(ratio.upper_quartile))
end

local function escape(text) return (text:gsub("[<|]", { ["<"] = "\\<", ["|"] = "\\|" })) end

local function row_of(result)
  return ("| %s | %s | %s | %s |\n"):format(escape(result.label), figure(result, result.ours),
                                            escape(peer_of(result)), ratio_of(result))
end

---What the figures depend on, and the versions of the others that were there. The load
---too: on a machine that does other things as well, what the clock times takes longer.
local function machine(facts)
  local parts = {}
  for _, name in ipairs { "date", "cpu", "kernel", "compiler", "lmdb", "Redis", "Python" } do
    parts[#parts + 1] = facts[name]
  end
  return ("%s. Load average before the run: %s.\n\n"):format(table.concat(parts, "; "),
                                                              facts["load before"])
end

---@param run table what is in results.json
---@return string
function readme_table.render(run)
  local lines = { machine(run.facts), "| work | job_tracker | beside it | ratio |\n",
                  "| --- | --- | --- | --- |\n" }
  for _, result in ipairs(run.rows) do
    if result.label and result.ours then lines[#lines + 1] = row_of(result) end
  end
  return table.concat(lines)
end

---The README's text with this block in place of the one that is there.
---@return string
function readme_table.replace(readme, block)
  local from, first = readme:find(BEGIN, 1, true)
  local last = readme:find(END, 1, true)
  assert(from and last and first < last, "the README has no place for the figures")
  return readme:sub(1, first) .. "\n" .. block .. "\n" .. readme:sub(last)
end

return readme_table
