-- A gift as it is from now on. $1 gift, then its fields in the order of the table, $15 time
INSERT INTO ledger.gifts (gift_id, name, price, category, rarity, animation_url, thumbnail_url, sound_url, combo,
    combo_window_ms, vip_level, wealth_xp_percent, charm_xp_percent, is_active, updated_ms)
VALUES ($1, $2, $3, $4, $5, $6, $7, $8, $9, $10, $11, $12, $13, $14, $15)
ON CONFLICT (gift_id) DO UPDATE SET
    name = excluded.name, price = excluded.price, category = excluded.category, rarity = excluded.rarity,
    animation_url = excluded.animation_url, thumbnail_url = excluded.thumbnail_url,
    sound_url = excluded.sound_url, combo = excluded.combo, combo_window_ms = excluded.combo_window_ms,
    vip_level = excluded.vip_level, wealth_xp_percent = excluded.wealth_xp_percent,
    charm_xp_percent = excluded.charm_xp_percent, is_active = excluded.is_active,
    updated_ms = excluded.updated_ms
RETURNING xmax = 0 AS created
