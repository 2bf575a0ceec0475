-- So many customers, none of them real, for SQLite and PostgreSQL alike. The text they are found by is folded by hand;
-- whoever measures compares it with the portal's own.
INSERT INTO customer (number, first_name, last_name, school, street, postcode, town, phone, salutation, email,
                      email_canonical, password_hash, created_at, version, imported, search)
WITH RECURSIVE
  given(i, name) AS (VALUES (0, 'Anna'), (1, 'Bernd'), (2, 'Claudia'), (3, 'Dieter'), (4, 'Erika'), (5, 'Frank'),
                            (6, 'Gisela'), (7, 'Hans')),
  stem(i, name) AS (VALUES (0, 'Acker'), (1, 'Berg'), (2, 'Brunn'), (3, 'Fischer'), (4, 'Garten'), (5, 'Hof'),
                           (6, 'Kirsch'), (7, 'Linden')),
  ending(i, name) AS (VALUES (0, 'er'), (1, 'mann'), (2, 'meier'), (3, 'bach'), (4, 'hofer'), (5, 'huber'),
                             (6, 'ner'), (7, 'wirt')),
  place(i, name) AS (VALUES (0, 'Musterstadt'), (1, 'Beispielhausen'), (2, 'Neudorf'), (3, 'Altfeld'), (4, 'Oberau'),
                            (5, 'Unterau'), (6, 'Seeheim')),
  each_one(n) AS (SELECT 1 UNION ALL SELECT n + 1 FROM each_one WHERE n < :count),
  person AS (
    SELECT n, given.name AS first_name, place.name AS town,
           stem.name || ending.name || CASE n % 3 WHEN 0 THEN '-' || second.name ELSE '' END AS last_name
    FROM each_one JOIN given ON given.i = n % 8 JOIN stem ON stem.i = n / 8 % 8 JOIN ending ON ending.i = n / 64 % 8
         JOIN stem AS second ON second.i = n / 512 % 8 JOIN place ON place.i = n % 7
  )
SELECT 'K-' || n, first_name, last_name, 'Schule ' || (n % 3000) || ' ' || town, 'Schulweg ' || (n % 99),
       CAST(75000 + n % 999 AS VARCHAR), town, '07051 ' || n, '', 'person' || n || '@schule.example',
       'person' || n || '@schule.example', :password_hash, '2026-01-01 00:00:00.000000', 1, '{}',
       lower(' k ' || n || ' k' || n || ' ' || first_name || ' ' || replace(last_name, '-', ' ') || ' schule '
             || (n % 3000) || ' ' || town || ' schulweg ' || (n % 99) || ' ' || (75000 + n % 999) || ' ' || town
             || ' person' || n || '@schule.example 07051' || n || ' ')
FROM person
