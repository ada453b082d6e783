-- sections: makes five to eight sections out of an outline of any shape. It
-- keeps the author's headings where it can: large ones are split along their
-- own subheadings, small neighbours are joined, and only a stretch without
-- headings is cut where its subject changes. It does not condense anything.

local outline = require "textbook.outline"
local prose = require "textbook.prose"
local topics = require "textbook.topics"
local unicode = require "textbook.unicode"

local sections = {}

sections.FEWEST, sections.MOST = 5, 8

-- Headings shown inside one section; more than that are joined too.
local MOST_PARTS = 5

-- Fewer words than these are a remark that joins its neighbour at once, or a
-- section that does so while there are others enough.
local REMARK, SMALL = 12, 45

-- Where the number of sections is free, one for so many words.
local WORDS_A_SECTION = 650

---@class textbook.Unit a run of entries that stays together
---@field title string
---@field entries textbook.Entry[]
---@field words integer
---@field members textbook.Unit[]? what it was joined from
---@field parent textbook.Entry? the heading it was split off from
---@field cuts integer how many stretches its text will be cut into
---@field guests textbook.Entry[]? entries whose text was cut and lies in it
---@field untitled boolean? whether its title is not shown

---@class textbook.Section
---@field number integer
---@field title string
---@field words integer
---@field parts textbook.Unit[] what it shows under subheadings of their own
---@field entries textbook.Entry[]

local function unit_of(entries, title, parent)
  local total = 0
  for _, entry in ipairs(entries) do total = total + entry.words end
  return { title = title or entries[1].title, entries = entries, words = total,
           parent = parent, cuts = 1 }
end

local function append(list, more)
  for _, item in ipairs(more) do list[#list + 1] = item end
  return list
end

-- ------------------------------------------------------------------- joining

-- A joined unit is called after its members of weight: "A and B", "A – Z".
local function joined_title(members, total)
  local named = {}
  for _, member in ipairs(members) do
    if member.words * (#members + 1) >= total then named[#named + 1] = member end
  end
  if #members > 12 or #named == 0 then named = { members[1], members[#members] } end
  local first, last = named[1].title, named[#named].title
  if first == last then return first end
  if unicode.length(first) + unicode.length(last) > 60 then
    table.sort(named, function(left, right) return left.words > right.words end)
    return named[1].title
  end
  return first .. (math.max(#members, #named) > 2 and " – " or " and ") .. last
end

local function joined(units)
  local entries, members, guests, parent = {}, {}, {}, units[1].parent
  for _, unit in ipairs(units) do
    append(entries, unit.entries)
    append(guests, unit.guests or {})
    append(members, unit.members or { unit })
    if unit.parent ~= parent then parent = nil end
  end
  local unit = unit_of(entries, "", parent)
  unit.title, unit.members = joined_title(members, unit.words), members
  unit.guests = guests
  return unit
end

local function join_at(units, index)
  units[index] = joined { units[index], units[index + 1] }
  table.remove(units, index + 1)
end

-- Far more units than will be kept are first bundled evenly, so that joining
-- the lightest neighbours one by one stays cheap with thousands of headings.
local function bundled(units, most)
  if #units <= most then return units end
  local total, seen, bundles, bundle = 0, 0, {}, {}
  for _, unit in ipairs(units) do total = total + unit.words end
  for index, unit in ipairs(units) do
    bundle[#bundle + 1] = unit
    seen = seen + unit.words
    if seen * most >= total * (#bundles + 1) or index == #units then
      bundles[#bundles + 1] = #bundle > 1 and joined(bundle) or bundle[1]
      bundle = {}
    end
  end
  return bundles
end

-- Joins the two lightest neighbours until few enough are left; those below
-- different headings only where it saves much.
local function join_down_to(units, most)
  units = bundled(units, most * 12)
  while #units > most do
    local best, lightest = 1, math.huge
    for index = 1, #units - 1 do
      local left, right = units[index], units[index + 1]
      local weight = left.words + right.words
      if left.parent ~= right.parent then weight = weight * 1.5 end
      if weight < lightest then best, lightest = index, weight end
    end
    join_at(units, best)
  end
  return units
end

-- One unit of all that was gathered.
local function gathered(group) return #group == 1 and group[1] or joined(group) end

local function gather(group, other)
  append(group, other)
  group.words = group.words + other.words
  return group
end

-- Joins every unit of fewer than 'least' words to its lighter neighbour, as
-- long as more than 'fewest' remain. What belongs together is gathered first and
-- joined at the end: a text may be nothing but headings.
local function join_small(units, least, fewest)
  local function group_at(index)
    return units[index] and { units[index], words = units[index].words }
  end
  local kept, index, remaining = {}, 1, #units
  local group = group_at(1)
  while group do
    local left, right = kept[#kept], group_at(index + 1)
    if group.words >= least or remaining <= fewest then
      kept[#kept + 1], group, index = group, right, index + 1
    else
      remaining = remaining - 1
      if not left or right and right.words < left.words then
        group, index = gather(group, right), index + 1
      else
        group = gather(table.remove(kept), group)
      end
    end
  end
  for number, one in ipairs(kept) do kept[number] = gathered(one) end
  return kept
end

-- ----------------------------------------------------------------- splitting

-- The heading's own text and each of its subheadings; a few words below the
-- heading go with the first of them. Nil if there is nothing to split along.
local function split_by_headings(unit)
  if unit.members then
    local members = join_small(unit.members, REMARK, 1)
    return #members > 1 and members or nil
  end
  local head, parts = unit.entries[1], {}
  for _, run in ipairs(outline.runs(unit.entries, 2)) do
    parts[#parts + 1] = unit_of(run, nil, head)
  end
  if #parts == 0 then return nil end
  if head.words >= SMALL then
    table.insert(parts, 1, unit_of({ head }, unit.title, head))
    return parts
  end
  if #parts == 1 then parts = split_by_headings(parts[1]) end
  if not parts then return nil end
  parts[1] = unit_of(append({ head }, parts[1].entries), parts[1].title, head)
  return parts
end

local function largest(units)
  local best, most = nil, 0
  for index, unit in ipairs(units) do
    if unit.words / unit.cuts > most then best, most = index, unit.words / unit.cuts end
  end
  return best
end

-- Splits the largest until there are enough, counting the cuts to come.
local function split_up_to(units, fewest)
  local count = #units
  while count < fewest do
    local index = largest(units)
    if not index then break end
    local parts = units[index].cuts == 1 and split_by_headings(units[index])
    if parts then
      table.remove(units, index)
      for offset, part in ipairs(parts) do
        table.insert(units, index + offset - 1, part)
      end
      count = count + #parts - 1
    else
      units[index].cuts = units[index].cuts + 1
      count = count + 1
    end
  end
  return units
end

-- Cuts a unit where its subject changes. Each stretch gets an entry, named by
-- what is special about it.
local function cut_by_subject(unit, context)
  local blocks = {}
  for _, entry in ipairs(unit.entries) do append(blocks, entry.blocks) end
  local stretches = {}
  for _, stretch in ipairs(topics.segment(blocks, unit.cuts)) do
    if #stretch > 0 then
      local texts = {}
      prose.each(stretch, function(sentence) texts[#texts + 1] = sentence.terms end)
      local title = topics.heading(topics.phrases(texts, context.background, 2))
      if not unit.untitled then
        title = unit.title .. ": " .. unicode.uncapitalized(title)
      end
      stretches[#stretches + 1] = unit_of({ outline.derived(title, stretch) })
    end
  end
  return stretches
end

-- The entries a cut unit had still belong somewhere: each to the stretch its
-- line lies in.
local function rehome(entries, stretches)
  for _, entry in ipairs(entries) do
    local home = stretches[1]
    for _, stretch in ipairs(stretches) do
      if stretch.entries[1].line <= entry.line then home = stretch end
    end
    if not entry.derived then
      home.guests = home.guests or {}
      table.insert(home.guests, entry)
    end
  end
end

local function cut_all(units, context)
  local whole = {}
  for _, unit in ipairs(units) do
    if unit.cuts > 1 then
      local stretches = cut_by_subject(unit, context)
      rehome(unit.entries, stretches)
      append(whole, stretches)
    else
      whole[#whole + 1] = unit
    end
  end
  return whole
end

-- ------------------------------------------------------------------ sections

-- What a section shows under subheadings: the units it was joined from, or its
-- own subheadings; the text right below its heading comes first, without one.
local function parts_of(unit)
  local parts = append({}, unit.members or {})
  if not unit.members then
    parts = { unit_of({ unit.entries[1] }, unit.title) }
    for _, run in ipairs(outline.runs(unit.entries, 2)) do
      parts[#parts + 1] = unit_of(run)
    end
  end
  local head = not unit.members and table.remove(parts, 1)
  parts = join_down_to(join_small(parts, REMARK, 1), MOST_PARTS)
  if head then
    head.untitled = true
    table.insert(parts, 1, head)
  end
  if #parts == 1 then parts[1].untitled = true end
  return parts
end

local function section_of(unit, number)
  local section = { number = number, title = unit.title, words = unit.words,
                    parts = parts_of(unit), entries = unit.entries }
  for _, entry in ipairs(unit.entries) do entry.section = number end
  for _, guest in ipairs(unit.guests or {}) do guest.section = number end
  return section
end

local function first_units(plan, total)
  local units, lead_words = {}, 0
  for _, block in ipairs(plan.lead) do lead_words = lead_words + block.words end
  local no_headings = #plan.entries == 0
  if no_headings or lead_words > 400 or lead_words > 150 and lead_words > total / 5 then
    local title = no_headings and plan.title or "Introduction"
    local lead = unit_of { outline.derived(title, plan.lead) }
    lead.untitled = no_headings
    if no_headings then
      local fitting = math.floor(total / WORDS_A_SECTION + 0.5)
      lead.cuts = math.max(sections.FEWEST, math.min(sections.MOST, fitting))
    end
    units[1], plan.lead = lead, {}
  end
  for _, run in ipairs(outline.runs(plan.entries)) do units[#units + 1] = unit_of(run) end
  return units
end

---Five to eight sections for the outline; entries it had to derive are added to
---it, and every entry learns its section. Nil and why not, if the text is too
---short to be divided.
---@param plan textbook.Outline
---@param context { words: integer, background: textbook.Background }
---@return textbook.Section[]?
---@return string? message
function sections.build(plan, context)
  local units = join_small(first_units(plan, context.words), REMARK, 1)
  if units[1].cuts == 1 then split_up_to(units, sections.FEWEST) end
  units = join_small(cut_all(units, context), 1, 1)
  units = join_down_to(units, sections.MOST)
  units = join_small(units, math.max(SMALL, context.words / 100), sections.FEWEST)
  if #units < sections.FEWEST then
    return nil, ("the text is too short for a chapter of %d sections: %d words in "
      .. "sentences"):format(sections.FEWEST, context.words)
  end
  local list = {}
  for number, unit in ipairs(units) do
    list[number] = section_of(unit, number)
    for _, entry in ipairs(unit.entries) do
      if entry.derived then plan.entries[#plan.entries + 1] = entry end
    end
  end
  return list
end

return sections
